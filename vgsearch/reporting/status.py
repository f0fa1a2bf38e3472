"""A search as `vgsearch status` shows it: who is at work, what was spent, every trial, what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from vgsearch.reporting import wording
from vgsearch.reporting.fitting import Fitting
from vgsearch.reporting.next_steps import NextStep, next_steps, render_next_steps
from vgsearch.reporting.table import new_table
from vgsearch.reporting.trial_table import LiveTrial, best_first, name, remark, trial_table
from vgsearch.reporting.verdicts import decisive_n

_NARROWEST_REMARK = 36  # columns


def render_status(
    trials: Sequence[LiveTrial],
    *,
    search: str,
    objective: str,
    is_alive: bool,
    num_trials: int,
    is_over: bool,
    cut_short_by: str,
    wall_hours: float,
    gpu_hours: float,
) -> RenderableType:
    """Lay out how a search stands.

    Args:
        trials: in any order, repeats of finalists and trunks among them.
        search: its name.
        objective: the metric that ranks trials.
        is_alive: whether a driver is at work.
        num_trials: how many are planned, repeats not counted.
        is_over: whether it ran to its end, the champion's scores included.
        cut_short_by: what ended it before all that was planned; empty if nothing did.
        wall_hours: that its drivers have run.
        gpu_hours: of its epochs; 0 is not mentioned.
    """
    driver = "a driver is running" if is_alive else "it has ended" if is_over else "no driver is running"
    spent = f"{wording.hours(wall_hours)} hours" + (
        f" and {wording.hours(gpu_hours)} GPU-hours spent" if gpu_hours else " spent"
    )
    head = f"Search {search}, ranked by {objective}: {driver}"
    counts = f"{_counts(trials, num_trials, is_alive=is_alive)}; {spent}"
    table = _table(best_first(trials), decisive_n(objective))
    cut_short = [Text(f"cut short: {cut_short_by}")] if cut_short_by else []
    return Group(Text(head, style="bold"), Text(counts), *cut_short, table)


def status_steps(
    trials: Sequence[LiveTrial],
    *,
    search: str,
    is_alive: bool,
    num_trials: int,
    is_over: bool,
    home: Path | None,
) -> list[NextStep]:
    """What to type next, most useful first.

    The study does not know the file that it was started with, hence `FILE`.
    """
    has_champion = any(trial.state in ("complete", "stopped") and not trial.is_trunk for trial in trials)
    steps = next_steps(search, "FILE", home=home)
    best = [step for step in steps if step.command.startswith("vgsearch best ")]
    resume = steps[-1]
    searched = [trial for trial in trials if trial.is_searched]
    running = [trial for trial in trials if trial.state == "running" and not trial.is_trunk]
    left = max(0, num_trials - len(searched)) + len(running)
    if is_alive:
        return best if has_champion else []
    if is_over:
        return best if has_champion else [resume]
    what = f"go on with the {left} trials that are left" if left else "finish it: repeats or final scores"
    return [
        NextStep(resume.command, f"{what} (FILE: the search space)"),
        *(best if has_champion else []),
    ]


def render_steps(steps: Sequence[NextStep], journal: Path) -> str:
    """The next commands, and in the last line how to open the study in optuna-dashboard."""
    dashboard = NextStep(
        shlex.join(["optuna-dashboard", str(journal)]), "browse the study (pip install optuna-dashboard)"
    )
    return render_next_steps([*steps, dashboard])


def _table(trials: Sequence[LiveTrial], n: int) -> RenderableType:
    """The table of trials, with reasons and settings in it or, where that is too narrow, below it."""
    if not trials:
        return Group()
    bare = trial_table(trials, n, with_remarks=False)
    remarks = new_table("trial", "settings", left=("settings",))
    remarks.columns[-1].no_wrap = False
    for trial in trials:
        remarks.add_row(name(trial), Text(remark(trial)))
    wide = trial_table(trials, n, wrap=True)
    return Fitting(wide, Group(bare, Text(""), remarks), core=bare, spare=_NARROWEST_REMARK)


def _counts(trials: Sequence[LiveTrial], num_trials: int, *, is_alive: bool) -> str:
    searched = [trial for trial in trials if trial.is_searched]
    repeats = [trial for trial in trials if trial.repeat_of is not None]
    running = sum(trial.state == "running" for trial in trials)
    trunks = [trial for trial in trials if trial.is_trunk]
    parts = [f"{sum(trial.state != 'running' for trial in searched)} of {num_trials} trials ended"]
    if trunks:
        parts.append(f"{sum(trial.state != 'running' for trial in trunks)} of {len(trunks)} trunks ended")
    if repeats:
        parts.append(f"{sum(trial.state != 'running' for trial in repeats)} of {len(repeats)} repeats ended")
    if running:
        parts.append(f"{running} running" if is_alive else f"{running} cut off")
    return ", ".join(parts)
