"""Recall against cost: which trials are worth choosing, and what a cheaper one gives up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vgsearch.reporting.pareto import pareto_front
from vgsearch.reporting.rows import Costs, LeaderboardRow
from vgsearch.reporting.verdicts import listed, outside

Axis = Literal["query_ms", "descriptor_bytes", "gpu_hours", "hours"]
_NAMES: dict[Axis, str] = {
    "query_ms": "ms a query",
    "descriptor_bytes": "bytes a descriptor",
    "gpu_hours": "GPU-hours",
    "hours": "hours of training",
}
_CHEAPER = 0.9  # timings vary from run to run: a cost that is less than a tenth lower is no saving


@dataclass(frozen=True)
class Tradeoffs:
    """The Pareto front of a search.

    Attributes:
        axes: costs in which trials differ.
        members: numbers of the trials on the front, the highest recall first.
        sentences: what it shows.
    """

    axes: tuple[Axis, ...]
    members: tuple[int, ...]
    sentences: tuple[str, ...]


def find_tradeoffs(rows: Sequence[LeaderboardRow], n: int) -> Tradeoffs | None:
    """Find the front of recall at `n` (high) and each cost in which trials differ (low).

    Only trials that may be champion take part. Values are compared as `shown` prints them, or noise of a
    millisecond would put nearly every trial on the front. Training costs GPU-hours, or hours of the trial
    where no trial had a GPU.

    Args:
        rows: best first.
        n: which recall decides.

    Returns:
        None with fewer than two such trials or no cost in which they differ.
    """
    able = [row for row in rows if row.may_win and n in row.recalls]
    axes = cost_axes(able)
    if len(able) < 2 or not axes:
        return None
    costs = np.array(
        [[-round(row.recalls[n].percent, 1), *(_rounded(row.costs, axis) for axis in axes)] for row in able]
    )
    members = [row for row, is_member in zip(able, pareto_front(costs), strict=True) if is_member]
    return Tradeoffs(axes, tuple(row.number for row in members), _sentences(members, axes, n))


def cost_axes(rows: Sequence[LeaderboardRow]) -> tuple[Axis, ...]:
    """The costs in which rows differ, as printed."""
    training: Axis = "gpu_hours" if any(row.costs.gpu_hours for row in rows) else "hours"
    axes: tuple[Axis, ...] = ("query_ms", "descriptor_bytes", training)
    return tuple(axis for axis in axes if len({shown(row.costs, axis) for row in rows}) > 1)


def shown(costs: Costs, axis: Axis) -> str:
    """A cost as it is printed: bytes in full, all else to two digits; a dash where it is unknown."""
    value = _rounded(costs, axis)
    if math.isnan(value):
        return "-"
    return f"{value:.0f}" if value >= 10 or axis == "descriptor_bytes" else f"{value:.2g}"


def _rounded(costs: Costs, axis: Axis) -> float:
    value = getattr(costs, axis)
    if value is None:
        return math.nan
    return float(value) if axis == "descriptor_bytes" else float(f"{value:.2g}")


def _sentences(members: Sequence[LeaderboardRow], axes: Sequence[Axis], n: int) -> tuple[str, ...]:
    front = f"Pareto front of R@{n} (high) and {listed([_NAMES[axis] for axis in axes])} (low)"
    best = members[0]
    if len(members) == 1:
        return (f"{front}: trial {best.number} alone, no trial is better in any of them.",)
    first = f"{front}: the {len(members)} trials marked *; every other one is beaten by one of them."
    return (first, *_cheaper(members, axes, n))


def _cheaper(members: Sequence[LeaderboardRow], axes: Sequence[Axis], n: int) -> tuple[str, ...]:
    """For each cost, the member with the highest recall of those that save at least a tenth."""
    best, *others = members
    savings: dict[int, list[str]] = {}
    for axis in axes:
        limit = _CHEAPER * _rounded(best.costs, axis)
        saving = next((row for row in others if _rounded(row.costs, axis) <= limit), None)
        if saving is not None:
            text = f"{shown(saving.costs, axis)} instead of {shown(best.costs, axis)} {_NAMES[axis]}"
            savings.setdefault(saving.number, []).append(text)
    if not savings:
        return ()
    by_number = {row.number: row for row in others}
    clauses = []
    for number, texts in savings.items():
        recall, highest = by_number[number].recalls[n], best.recalls[n]
        level = "" if outside(highest, recall) else " (within the intervals)"
        lost = f"{highest.percent - recall.percent:.1f} points lower{level}"
        clauses.append(f"trial {number} with {listed(texts)}, {lost}")
    return (f"Cheaper than trial {best.number}: {'; '.join(clauses)}.",)
