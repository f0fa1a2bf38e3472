"""A soup in tables: what was tried and why it was taken or refused, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from vgsearch.reporting import wording
from vgsearch.reporting.fitting import Fitting
from vgsearch.reporting.table import new_table

_REFUSED_STYLE = "dim"
_NARROWEST_VERDICT = 36  # columns


@dataclass(frozen=True)
class SoupRow:
    """One thing that was tried.

    Attributes:
        reference: The ingredient.
        alone: The criterion of the ingredient by itself, in percent.
        share: Its part of what was tried, 0 to 1.
        value: The criterion of what was tried, in percent; at most this much, where it was given up.
        part: How much of the images was described, 0 to 1; below 1 where it was given up.
        floor: What it had to reach; None for the first.
        difference: Points over what it was compared with; None for the first, and where it was given up.
        low: Lower end of the 95% interval of the difference.
        high: Upper end.
        is_taken: Whether it is in the soup from here on.
        is_broken: A descriptor was not finite.
        is_recalibrated: BatchNorm statistics were taken again.
    """

    reference: str
    alone: float
    share: float
    value: float
    part: float
    floor: float | None
    difference: float | None
    low: float | None
    high: float | None
    is_taken: bool
    is_broken: bool
    is_recalibrated: bool

    @property
    def is_level(self) -> bool:
        """Whether the interval of the difference holds zero."""
        return self.low is not None and self.high is not None and self.low <= 0 <= self.high


def render_trajectory(
    rows: Sequence[SoupRow], *, criterion: str, num_queries: int, method: str
) -> RenderableType:
    """Lay out what was tried, in order.

    Args:
        rows: At least one.
        criterion: Such as `val/recall_at_1`.
        num_queries: Over all splits of the criterion.
        method: Such as `greedy`; it decides what a row was compared with.
    """
    with_shares = method in ("greedy_weighted", "interpolate")
    headers = ["#", "ingredient", "alone", *(["share"] if with_shares else []), "soup with it"]
    wide = new_table(*headers, "difference", "verdict", left=("ingredient", "verdict"))
    bare = new_table(*headers, "difference", left=("ingredient",))
    verdicts = new_table("#", "verdict", left=("verdict",))
    for table in (wide, verdicts):
        table.columns[-1].no_wrap = False
    for number, row in enumerate(rows, start=1):
        cells: list[str | Text] = [str(number), Text(row.reference), f"{row.alone:.1f}"]
        cells += [f"{row.share:.2f}"] if with_shares else []
        cells += [_value(row), _difference(row)]
        verdict, style = _verdict(row, method), _style(row, method)
        wide.add_row(*cells, verdict, style=style)
        bare.add_row(*cells, style=style)
        verdicts.add_row(str(number), verdict, style=style)
    against = {
        "greedy": "the soup before it",
        "greedy_weighted": "the soup before it",
        "interpolate": "the first model",
    }.get(method, "the best ingredient")
    return Group(
        Text(f"What was tried, by {criterion}", style="bold"),
        Fitting(wide, Group(bare, Text(""), verdicts), core=bare, spare=_NARROWEST_VERDICT),
        Text(
            f"Percent over {num_queries} queries. Difference: points over {against}, on the same queries, "
            "with a 95% interval (bootstrap by place)."
        ),
    )


def single_ingredient_lines(rows: Sequence[SoupRow], *, diagnose: str) -> list[str]:
    """What to say of a soup that has one ingredient: what it is, and why the others are not in it.

    Args:
        rows: What was tried.
        diagnose: The command that looks into it.
    """
    best = rows[0]
    for row in rows:
        if row.is_taken:
            best = row
    lines = [f"The soup has one ingredient: it equals {best.reference}."]
    refused = [row for row in rows if not row.is_taken]
    if not refused:
        return lines
    # A soup that was given up was so far below that the rest of the images could not save it.
    lost = [
        row for row in refused if row.part < 1 or row.is_broken or (row.high is not None and row.high < 0)
    ]
    closest = max(refused, key=lambda row: (row.part >= 1, row.value))
    if closest.part >= 1 and closest.floor is not None:
        lines.append(
            f"Nearest to being taken: {closest.reference}, {closest.floor - closest.value:.1f} points short."
        )
    if lost:
        lines.append(
            f"With {len(lost)} of {len(refused)} the mean is clearly worse (given up, or the interval lies "
            "below zero): their weights may lie far apart, with worse networks in between. Trials that "
            "branch from one trunk (search.branch) lie close together."
        )
    lines.append(f"To see what lies between them: {diagnose}")
    return lines


def _value(row: SoupRow) -> str:
    if row.is_broken:
        return wording.MISSING
    return f"{row.value:.1f}" if row.part >= 1 else f"<= {row.value:.1f}"


def _difference(row: SoupRow) -> str:
    if row.difference is None or row.low is None or row.high is None:
        return wording.MISSING
    return f"{row.difference:+.1f} [{row.low:+.1f}, {row.high:+.1f}]"


def _verdict(row: SoupRow, method: str) -> Text:
    bn = ", BatchNorm taken again" if row.is_recalibrated else ""
    if row.is_broken:
        return Text("refused: its descriptors are not finite")
    if row.floor is None:
        return Text("first" if row.is_taken else "one end")
    if method in ("uniform", "model_stock"):
        return Text(f"taken, as all are{bn}")
    if row.part < 1:
        return Text(f"refused: cannot reach {row.floor:.1f}, given up after {row.part:.0%} of the images")
    gain = row.value - row.floor
    level = "; the interval holds zero" if row.is_level and gain else ""
    if row.is_taken:
        what = "as good as before" if gain == 0 else "better" if gain > 0 else "the best of these"
        return Text(f"taken: {what}{level}{bn}")
    if gain < 0:
        return Text(f"refused: {-gain:.1f} points lower{level}")
    return Text(f"refused: another one is as good or better{level}")


def _style(row: SoupRow, method: str) -> str | None:
    return None if row.is_taken or method in ("uniform", "model_stock") else _REFUSED_STYLE
