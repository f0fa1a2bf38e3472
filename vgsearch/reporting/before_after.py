"""The best of several models against what was made of them, split by split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from vgsearch.reporting import wording
from vgsearch.reporting.fitting import Fitting
from vgsearch.reporting.table import new_table
from vgsearch.retrieval.bootstrap import FEWEST_PLACES
from vgsearch.retrieval.compare import PairedComparison


def render_before_after(
    comparisons: Mapping[str, Sequence[PairedComparison]], *, best: str, role: str, made: str
) -> RenderableType:
    """Lay out the best model against what was made, and say where the two cannot be told apart.

    Args:
        comparisons: By split, at each N; first is the best model.
        best: What that is called.
        role: What it is: "best ingredient".
        made: What was made: "soup".
    """
    level = [
        f"{split} R@{each.first.n}"
        for split, at_each in comparisons.items()
        for each in at_each
        if each.better is None
    ]
    lines = [f"Cannot be told apart by {', '.join(level)}: the {made} and {best}."] if level else []
    if any(not each.bootstrap.is_reliable for at_each in comparisons.values() for each in at_each):
        lines.append(f"* fewer than {FEWEST_PLACES} places changed, too few for the interval to be believed")
    return Group(
        Text(f"Before ({best}, the {role}) and after", style="bold"),
        Fitting(_wide(comparisons, role, made), _narrow(comparisons, role, made)),
        *(Text(line) for line in lines),
    )


def _wide(comparisons: Mapping[str, Sequence[PairedComparison]], role: str, made: str) -> Table:
    table = new_table("split", "queries", "recall", role, made, "difference", "McNemar p", left=("split",))
    for split, at_each in comparisons.items():
        for i, each in enumerate(at_each):
            queries = str(each.first.num_queries) if i == 0 else ""
            table.add_row(Text(split if i == 0 else ""), queries, *_cells(each))
    return table


def _narrow(comparisons: Mapping[str, Sequence[PairedComparison]], role: str, made: str) -> RenderableType:
    """A line for each split in place of its two columns."""
    table = new_table("", role, made, "difference", "p")
    for split, at_each in comparisons.items():
        for i, each in enumerate(at_each):
            if i == 0:
                table.add_row("", Text(f"{split}, {each.first.num_queries} queries", justify="left"))
            table.add_row(*_cells(each))
    return Group(table, Text("p is McNemar's exact test's"))


def _cells(each: PairedComparison) -> tuple[str, ...]:
    p_value = f"{each.mcnemar.p_value:.3g}"
    return f"R@{each.first.n}", str(each.first), str(each.second), wording.points(each.bootstrap), p_value
