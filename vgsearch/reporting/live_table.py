"""A running search as a table that redraws itself, or as plain lines where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from vgsearch.registry.records import TrialState
from vgsearch.reporting import wording
from vgsearch.reporting.table import new_table
from vgsearch.reporting.verdicts import decisive_n
from vgsearch.retrieval.recall import Recall

_REDRAW_S = 0.25
_LINES_AROUND_TABLE = 5
_HEADERS = ("trial", "epoch", "best", "last", "time", "state", "settings")


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


class LiveTable:
    """Shows trials while a search runs; a context manager that leaves the last state on the screen.

    It draws in the caller's thread, when told: no thread of its own, no signal handler.
    """

    def __init__(
        self,
        console: Console,
        *,
        search: str,
        objective: str,
        num_trials: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare to watch `num_trials` trials of `search`, ranked by `objective`."""
        self._console = console
        self._search, self._objective, self._num_trials = search, objective, num_trials
        self._clock = clock
        self._trials: dict[int, LiveTrial] = {}
        self._done_before = 0.0
        self._started_s = self._drawn_s = clock()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        self._started_s = self._clock()
        if self._console.is_terminal:
            self._live = Live(
                self._render(), console=self._console, auto_refresh=False, redirect_stderr=False
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.update(self._render(), refresh=True)
            self._live.stop()
            self._live = None

    def update(self, trial: LiveTrial) -> None:
        """Take in a trial's new standing; repeating one changes nothing."""
        before = self._trials.get(trial.number)
        self._trials[trial.number] = trial
        if before is None:  # what a resumed trial brings along says nothing about today's pace
            self._done_before += _progress(trial)
        if self._live is not None:
            self._redraw()
        elif trial != before:
            for line in _news(before, trial, self._objective):
                self._print(line)

    def note(self, text: str) -> None:
        """Print a remark above the table, where it stays."""
        self._print(text)

    def beat(self) -> None:
        """Let the clock go on; to be called now and then, cheap."""
        if self._live is not None and self._clock() - self._drawn_s >= _REDRAW_S:
            self._redraw()

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _redraw(self) -> None:
        if self._live is not None:
            self._live.update(self._render(), refresh=True)
            self._drawn_s = self._clock()

    def _render(self) -> RenderableType:
        n = decisive_n(self._objective)
        ranked = sorted(self._trials.values(), key=lambda trial: (-(trial.best or -1.0), trial.number))
        shown = ranked[: max(1, self._console.height - _LINES_AROUND_TABLE)]
        table = new_table(*_HEADERS, left=("state", "settings"))
        table.columns[-1].no_wrap = False  # the one column that may shrink; its cells are cut, not wrapped
        for trial in shown:
            table.add_row(
                str(trial.number),
                f"{trial.epoch}/{trial.epochs}",
                Text(_scored(trial.best, trial.num_queries, n)),
                _scored(trial.value, 0, n),
                wording.duration(trial.seconds),
                wording.styled_state(trial.state),
                Text(_remark(trial), no_wrap=True, overflow="ellipsis"),
            )
        hidden = len(ranked) - len(shown)
        return Group(self._headline(), table, *([Text(f"and {hidden} more", style="dim")] if hidden else []))

    def _headline(self) -> Text:
        ended = sum(trial.state != "running" for trial in self._trials.values())
        parts = [f"{self._search}: {ended} of {self._num_trials} trials ended", self._objective]
        parts.append(f"{wording.duration(self._clock() - self._started_s)} so far")
        left = self._seconds_left()
        if left is not None:
            parts.append(f"about {wording.duration(left)} left")
        return Text(", ".join(parts), style="bold", overflow="ellipsis", no_wrap=True)

    def _seconds_left(self) -> float | None:
        """What is left if trials keep ending at the pace seen so far; None before anything was done."""
        done = sum(_progress(trial) for trial in self._trials.values())
        done_here = done - self._done_before
        if done_here <= 0:
            return None
        return (self._clock() - self._started_s) / done_here * max(0.0, self._num_trials - done)


def _progress(trial: LiveTrial) -> float:
    """The part of a trial that is done; one that ended early is all done."""
    return trial.epoch / max(trial.epochs, 1) if trial.state == "running" else 1.0


def _settings(trial: LiveTrial) -> str:
    """`loss cosface, margin_cos 0.31`: the last part of each name, numbers to three digits."""
    words = []
    for name, value in trial.settings.items():
        text = f"{value:.3g}" if isinstance(value, float) else str(value)
        words.append(f"{name.rpartition('.')[2]} {text}")
    return ", ".join(words)


def _remark(trial: LiveTrial) -> str:
    """Why a trial ended early, and its settings."""
    reason = trial.reason if trial.state != "running" else ""
    return "; ".join(part for part in (reason, _settings(trial)) if part)


def _scored(percent: float | None, num_queries: int, n: int) -> str:
    """A recall with its interval where the number of queries is known."""
    if percent is None:
        return wording.MISSING
    if num_queries < 1:
        return f"{percent:.1f}"
    hits = min(num_queries, max(0, round(percent * num_queries / 100)))
    return str(Recall(n=n, hits=hits, num_queries=num_queries))


def _news(before: LiveTrial | None, trial: LiveTrial, objective: str) -> list[str]:
    """What a log should say about the step from `before` to `trial`."""
    n = decisive_n(objective)
    best = _scored(trial.best, trial.num_queries, n)
    if before is None and trial.state == "running" and trial.epoch == 0:
        settings = _settings(trial)
        return [f"trial {trial.number} starts" + (f": {settings}" if settings else "")]
    lines = []
    if trial.epoch > (before.epoch if before is not None else 0) and trial.value is not None:
        latest = _scored(trial.value, trial.num_queries, n)
        lines.append(
            f"trial {trial.number}, epoch {trial.epoch}/{trial.epochs}: {objective} {latest}, best {best}, "
            f"{wording.duration(trial.seconds)}"
        )
    if trial.state != "running" and (before is None or before.state == "running"):
        reason = f": {trial.reason}" if trial.reason else ""
        ended = f"trial {trial.number} {wording.ending(trial.state)} after epoch {trial.epoch}/{trial.epochs}"
        lines.append(f"{ended}, best {best}{reason}")
    return lines
