"""Trials on their way as a table, best first: the live table and `vgsearch status` show the same."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.table import Table
from rich.text import Text

from vgsearch.registry.records import TrialState
from vgsearch.reporting import wording
from vgsearch.reporting.table import new_table
from vgsearch.retrieval.recall import Recall

_BRANCH = re.compile(r"\d+(?:_(?P<name>.+))?")


@dataclass(frozen=True)
class LiveTrial:
    """A trial's standing.

    Attributes:
        number: from 0.
        state: `running`, or how it ended.
        epoch: epochs done.
        epochs: epochs that a whole trial has.
        value: the objective after the latest epoch, in percent.
        best: the highest so far, in percent.
        best_epoch: when that was, from 1.
        num_queries: queries behind them; 0 leaves the interval out.
        settings: what was searched, by name.
        seconds: time spent in its epochs.
        reason: why it ended early.
        gpu_peak_bytes: most GPU memory of one of its processes; None where it was not measured.
        repeat_of: number of the trial that it repeats on another seed; None for a searched one.
        seed: of a repeat, where it is known.
        is_trunk: others branch from it; it is none of the searched trials.
        is_cut_off: it says `running`, but no process runs it.
    """

    number: int
    state: TrialState
    epoch: int
    epochs: int
    value: float | None = None
    best: float | None = None
    best_epoch: int | None = None
    num_queries: int = 0
    settings: Mapping[str, object] = field(default_factory=dict)
    seconds: float = 0.0
    reason: str = ""
    gpu_peak_bytes: float | None = None
    repeat_of: int | None = None
    seed: int | None = None
    is_trunk: bool = False
    is_cut_off: bool = False

    @property
    def is_searched(self) -> bool:
        """Whether it is one of the planned trials: neither a repeat of one nor a trunk."""
        return self.repeat_of is None and not self.is_trunk


def best_first(trials: Sequence[LiveTrial]) -> list[LiveTrial]:
    """Trials by their best value, those that broke a constraint or failed below; equals by number.

    The repeats of a trial stand right below it and trunks above all: their numbers compete with nobody's.
    """
    repeats: dict[int, list[LiveTrial]] = {}
    searched = []
    numbers = {trial.number for trial in trials}
    for trial in sorted(trials, key=lambda each: each.number):
        if trial.repeat_of in numbers:
            repeats.setdefault(trial.repeat_of, []).append(trial)
        else:
            searched.append(trial)
    searched.sort(key=_place)
    return [row for trial in searched for row in (trial, *repeats.get(trial.number, ()))]


def trial_table(
    trials: Sequence[LiveTrial], n: int, *, with_remarks: bool = True, wrap: bool = False
) -> Table:
    """One line a trial, in the order given, with a column for GPU memory if it is known of any.

    Args:
        trials: to show.
        n: which recall their values are.
        with_remarks: whether there is a column for reasons and settings (see `remark`).
        wrap: whether it goes on in further lines where it is too narrow, or is cut.
    """
    with_memory = any(trial.gpu_peak_bytes is not None for trial in trials)
    memory = ["GPU GB"] if with_memory else []
    remarks = ["settings"] if with_remarks else []
    headers = ["trial", "epoch", "best", "last", "time", *memory, "state", *remarks]
    table = new_table(*headers, left=("state", "settings"))
    table.columns[-1].no_wrap = not with_remarks  # the one column that may shrink
    for trial in trials:
        table.add_row(
            name(trial),
            f"{trial.epoch}/{trial.epochs}",
            Text(scored(trial.best, trial.num_queries, n)),
            scored(trial.value, 0, n),
            wording.duration(trial.seconds),
            *([wording.gigabytes(trial.gpu_peak_bytes)] if with_memory else []),
            wording.styled_state("cut off" if trial.is_cut_off else trial.state),
            *([Text(remark(trial), no_wrap=not wrap, overflow="ellipsis")] if with_remarks else []),
        )
    return table


def name(trial: LiveTrial) -> str:
    """Its number, with a `+` before it for a repeat; `trunk 0` for a trunk."""
    if trial.is_trunk:
        return f"trunk {trial.number}"
    return str(trial.number) if trial.repeat_of is None else f"+ {trial.number}"


def scored(percent: float | None, num_queries: int, n: int) -> str:
    """A recall with its interval where the number of queries is known."""
    if percent is None:
        return wording.MISSING
    if num_queries < 1:
        return f"{percent:.1f}"
    hits = min(num_queries, max(0, round(percent * num_queries / 100)))
    return str(Recall(n=n, hits=hits, num_queries=num_queries))


def settings_line(trial: LiveTrial) -> str:
    """`loss cosface, margin_cos 0.31`: the last part of each name, numbers to three digits.

    A repeat has the settings of the trial it repeats, so it names that one: `trial 3 again, seed 2`. What is
    known of a trunk is its architecture: `others start from it: backbone resnet18.tv_in1k`.
    """
    if trial.repeat_of is not None:
        seed = "on another seed" if trial.seed is None else f"seed {trial.seed}"
        return f"trial {trial.repeat_of} again, {seed}"
    words = []
    for name, value in trial.settings.items():
        text = f"{value:.3g}" if isinstance(value, float) else str(value)
        words.append(f"{name.rpartition('.')[2]} {text}")
    if trial.is_trunk:
        return ": ".join(part for part in ("others start from it", ", ".join(words)) if part)
    return ", ".join(words)


def remark(trial: LiveTrial) -> str:
    """Why a trial ended early, and its settings."""
    reason = trial.reason if trial.state != "running" else ""
    return "; ".join(part for part in (reason, settings_line(trial)) if part)


def readable_settings(settings: Mapping[str, object]) -> dict[str, object]:
    """Branch labels as a reader says them: `1_arcface` is arcface; a branch without a name goes."""
    readable: dict[str, object] = {}
    for name, value in settings.items():
        branch = _BRANCH.fullmatch(value) if isinstance(value, str) else None
        if branch is None:
            readable[name] = value
        elif branch["name"]:
            readable[name] = branch["name"]
    return readable


def _place(trial: LiveTrial) -> tuple[bool, bool, float]:
    cannot_win = trial.state in ("infeasible", "failed", "out_of_memory")
    return not trial.is_trunk, cannot_win, -(-1.0 if trial.best is None else trial.best)
