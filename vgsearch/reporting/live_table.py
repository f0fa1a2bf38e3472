"""A running search as a table that redraws itself, or as plain lines where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from vgsearch.reporting import wording
from vgsearch.reporting.time_left import Progress, epochs_left
from vgsearch.reporting.trial_table import LiveTrial, best_first, scored, settings_line, trial_table
from vgsearch.reporting.verdicts import decisive_n

_REDRAW_S = 0.25
_LINES_AROUND_TABLE = 5


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
        num_repeats: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare to watch a search.

        Args:
            console: where to draw or print.
            search: its name.
            objective: the metric that ranks trials.
            num_trials: how many are planned.
            num_repeats: how many repeats of finalists come after them, at most.
            clock: seconds that only rise.
        """
        self._console = console
        self._search, self._objective = search, objective
        self._num_trials, self._num_repeats = num_trials, num_repeats
        self._clock = clock
        self._trials: dict[int, LiveTrial] = {}
        self._epochs_before = 0
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
            self._epochs_before += trial.epoch
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
        ranked = best_first(list(self._trials.values()))
        shown = ranked[: max(1, self._console.height - _LINES_AROUND_TABLE)]
        table = trial_table(shown, decisive_n(self._objective))
        hidden = len(ranked) - len(shown)
        return Group(self._headline(), table, *([Text(f"and {hidden} more", style="dim")] if hidden else []))

    def _headline(self) -> Text:
        searched = [trial for trial in self._trials.values() if trial.is_searched]
        repeats = [trial for trial in self._trials.values() if trial.repeat_of is not None]
        ended = sum(trial.state != "running" for trial in searched)
        parts = [f"{self._search}: {ended} of {self._num_trials} trials ended"]
        if repeats:
            ended = sum(trial.state != "running" for trial in repeats)
            parts.append(f"{ended} of {max(self._num_repeats, len(repeats))} repeats")
        parts += [self._objective, f"{wording.duration(self._clock() - self._started_s)} so far"]
        left = self._seconds_left(searched, repeats)
        if left is not None:
            parts.append(f"about {wording.duration(left)} left")
        return Text(", ".join(parts), style="bold", overflow="ellipsis", no_wrap=True)

    def _seconds_left(self, searched: list[LiveTrial], repeats: list[LiveTrial]) -> float | None:
        """What is left if epochs go on at the pace of this session; None before one was done."""
        done = sum(trial.epoch for trial in self._trials.values()) - self._epochs_before
        if done <= 0:
            return None
        left = epochs_left(
            [Progress(trial.epoch, trial.epochs, trial.state == "running") for trial in searched],
            num_unstarted=max(0, self._num_trials - len(searched)),
            num_repeats=max(0, self._num_repeats - len(repeats)),
        )
        beside = [*repeats, *(trial for trial in self._trials.values() if trial.is_trunk)]
        left += sum(trial.epochs - trial.epoch for trial in beside if trial.state == "running")
        return (self._clock() - self._started_s) / done * left


def _news(before: LiveTrial | None, trial: LiveTrial, objective: str) -> list[str]:
    """What a log should say about the step from `before` to `trial`."""
    n = decisive_n(objective)
    called = f"trunk {trial.number}" if trial.is_trunk else f"trial {trial.number}"
    best = scored(trial.best, trial.num_queries, n)
    if before is None and trial.state == "running" and trial.epoch == 0:
        settings = settings_line(trial)
        return [f"{called} starts" + (f": {settings}" if settings else "")]
    lines = []
    if trial.epoch > (before.epoch if before is not None else 0) and trial.value is not None:
        latest = scored(trial.value, trial.num_queries, n)
        lines.append(
            f"{called}, epoch {trial.epoch}/{trial.epochs}: {objective} {latest}, best {best}, "
            f"{wording.duration(trial.seconds)}"
        )
    if trial.state != "running" and (before is None or before.state == "running"):
        reason = f": {trial.reason}" if trial.reason else ""
        ended = f"{called} {wording.ending(trial.state)} after epoch {trial.epoch}/{trial.epochs}"
        lines.append(f"{ended}, best {best}{reason}")
    return lines
