"""The table at the end of a search, in the widest layout that the terminal has room for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from vgsearch.reporting import wording
from vgsearch.reporting.rows import LeaderboardRow, Recalls, ScoreRow
from vgsearch.reporting.verdicts import failure_lines, lead_verdict, untrained_verdict

_NS = (1, 5, 10, 20)


def render_leaderboard(
    rows: Sequence[LeaderboardRow],
    champion_tests: Sequence[ScoreRow],
    untrained: Recalls | None,
    *,
    search: str,
    objective: str,
) -> RenderableType:
    """Lay out a finished search.

    Args:
        rows: its trials, best first.
        champion_tests: the champion on each test set, in the order to print; may be empty.
        untrained: recalls of the untrained backbone on what `rows` were scored on; None if unknown.
        search: its name.
        objective: the metric that ranked them, e.g. `val/recall_at_1`.

    Returns:
        A rich renderable that picks its columns when the width is known. At 80 columns a trial takes two
        lines; nothing that a wide terminal shows is lost.
    """
    return _Leaderboard(tuple(rows), tuple(champion_tests), untrained, search, objective)


@dataclass(frozen=True)
class _Leaderboard:
    rows: tuple[LeaderboardRow, ...]
    champion_tests: tuple[ScoreRow, ...]
    untrained: Recalls | None
    search: str
    objective: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(f"Search {self.search}, ranked by {self.objective}", style="bold")
        yield _first_that_fits(
            [lambda: _wide(self.rows, _NS), lambda: _wide(self.rows, _NS[:1]), lambda: _compact(self.rows)],
            console,
            options,
        )
        for line in self._sentences():
            yield Text(line)
        if self.champion_tests:
            yield Text("")
            yield Text("Champion on the test sets", style="bold")
            tests = {row.set_name: row.recalls for row in self.champion_tests}
            yield _first_that_fits(
                [lambda: _scores(tests, two_lines=False), lambda: _scores(tests, two_lines=True)],
                console,
                options,
            )

    def _sentences(self) -> list[str]:
        n = int(self.objective.rpartition("_")[2])
        scored = next((row for row in self.rows if row.recalls), None)
        lines = []
        if scored is not None:
            queries = next(iter(scored.recalls.values())).num_queries
            lines.append(f"Recalls in percent with 95% Wilson intervals; {_split_words(scored, queries)}.")
        lines += [lead_verdict(self.rows, n), untrained_verdict(self.rows, self.untrained, n)]
        return [line for line in lines if line] + failure_lines(self.rows)


def _split_words(row: LeaderboardRow, queries: int) -> str:
    if len(row.by_split) < 2:
        return f"{queries} val queries"
    each = ", ".join(f"{next(iter(r.values())).num_queries} {name}" for name, r in row.by_split.items())
    return f"{queries} val queries of all splits together ({each})"
