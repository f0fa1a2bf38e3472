"""The finalists: what the search promised of each, and what new seeds made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from vgsearch.reporting import wording
from vgsearch.reporting.seed_test import ALPHA, welch_p_value
from vgsearch.reporting.table import new_table
from vgsearch.reporting.verdicts import listed


@dataclass(frozen=True)
class FinalistRow:
    """A trial that was trained again.

    Attributes:
        number: of the trial.
        settings: in words.
        searched: its best objective in the search, in percent: the luckiest of many draws.
        repeats: best objective of each new seed, in order; at least one.
    """

    number: int
    settings: str
    searched: float
    repeats: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over the new seeds."""
        return mean(self.repeats)

    @property
    def std(self) -> float | None:
        """Sample standard deviation over the new seeds; None below two."""
        return stdev(self.repeats) if len(self.repeats) > 1 else None


def render_finalists(rows: Sequence[FinalistRow], *, champion: int | None) -> RenderableType:
    """Lay out the finalists, with what can be said of the first one's lead.

    Args:
        rows: the highest mean first; not empty.
        champion: number of the trial that became champion: the first row's or one of its repeats.
    """
    lines = [lead_over_seeds(rows), _luck(rows), _choice(rows[0], champion)]
    return Group(
        Text("Finalists on new seeds", style="bold"), _table(rows), *(Text(line) for line in lines if line)
    )


def lead_over_seeds(rows: Sequence[FinalistRow]) -> str | None:
    """Say whether the highest mean stands apart from the others; None with a single row.

    Every other finalist is tested against the first, with p-values corrected for their number.
    """
    best, *others = rows
    if not others:
        return None
    tested = [welch_p_value(best.repeats, row.repeats, num_comparisons=len(others)) for row in others]
    if any(p_value is None for p_value in tested):
        return (
            f"Whether trial {best.number} leads by more than luck cannot be tested: that takes two seeds or "
            "more of each trial, and numbers that differ."
        )
    how = "Welch's t-test" + (f", corrected for {len(others)} comparisons" if len(others) > 1 else "")
    level: list[str] = []
    apart: list[str] = []
    for row, p_value in zip(others, tested, strict=True):
        lead = f"trial {row.number} ({best.mean - row.mean:+.1f} points, p = {p_value:.2g})"
        (apart if p_value is not None and p_value < ALPHA else level).append(lead)
    if not level:
        return f"Trial {best.number} stands apart from {listed(apart)}: more than seeds explain ({how})."
    also = f", but stands apart from {listed(apart)}" if apart else ""
    return f"Trial {best.number} cannot be told apart from {listed(level)}{also} ({how})."


def _luck(rows: Sequence[FinalistRow]) -> str | None:
    """By how much the selected numbers were too good."""
    surplus = mean(row.searched - row.mean for row in rows)
    if surplus < 0.05:
        return None
    return f"The numbers of the search were {surplus:.1f} points higher on average: luck of the chosen."


def _choice(best: FinalistRow, champion: int | None) -> str | None:
    if champion is None:
        return None
    run = "its run in the search" if champion == best.number else f"its best run, trial {champion}"
    return f"Chosen by the mean: trial {best.number}. The champion is {run}."


def _table(rows: Sequence[FinalistRow]) -> Table:
    table = new_table(
        "trial", "settings", "searched", "mean", "std", "each seed", left=("settings", "each seed")
    )
    for index in (1, 5):
        table.columns[index].no_wrap = False
    for row in rows:
        table.add_row(
            str(row.number),
            Text(row.settings),
            f"{row.searched:.1f}",
            f"{row.mean:.1f}",
            wording.MISSING if row.std is None else f"{row.std:.1f}",
            Text("  ".join(f"{value:.1f}" for value in row.repeats)),
        )
    return table
