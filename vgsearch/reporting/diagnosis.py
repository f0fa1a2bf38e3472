"""The soup doctor's findings: which pairs of networks can be averaged, in tables and in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from vgsearch.reporting.table import new_table
from vgsearch.retrieval.recall import Recall

# What Frankle et al. (2020) let pass as noise, in points.
TOLERATED_POINTS = 2.0
# A pair is called mergeable only where a barrier of more points than this is ruled out.
_SHARP_POINTS = 5.0

_STARTS = {
    "same": "same",
    "same backbone": "backbone",
    "different": "different",
    "unknown": "unknown",
}
_CURE = "train with search.branch, so that trials share a trunk"


@dataclass(frozen=True)
class LineRow:
    """One point of a line: the share of the second network in it, and its recall."""

    t: float
    recall: Recall


@dataclass(frozen=True)
class PairRow:
    """Two networks and the line between them.

    Attributes:
        first: what to call the one at 0.
        second: the one at 1.
        start: `same`, `same backbone`, `different` or `unknown`.
        distance: of their weights, relative; 0.1 is ten percent, 1.41 are random directions.
        linear_distance: of their linear layers alone.
        bn_layers: BatchNorm layers with statistics.
        bn_moved: of them, those whose statistics differ.
        bn_shift: median distance of their means, in standard deviations.
        num_integers: integer buffers that differ.
        points: of the line, by rising share, the ends included.
        barrier_at: share of the lowest point.
        barrier_points: how far it lies below the straight line between the ends, in points of recall.
        barrier_low: of its 95% interval.
        barrier_high: likewise.
        recalibrated: whether the inner points had their BatchNorm statistics computed anew.
    """

    first: str
    second: str
    start: str
    distance: float
    linear_distance: float
    bn_layers: int
    bn_moved: int
    bn_shift: float
    num_integers: int
    points: tuple[LineRow, ...]
    barrier_at: float
    barrier_points: float
    barrier_low: float
    barrier_high: float
    recalibrated: bool = False

    @property
    def name(self) -> str:
        """`v3 - v7`."""
        return f"{self.first} - {self.second}"

    @property
    def interval(self) -> str:
        """The barrier's interval in points, `[1.1, 7.3]`."""
        return f"[{self.barrier_low:.1f}, {self.barrier_high:.1f}]"


def render_diagnosis(
    rows: Sequence[PairRow],
    *,
    criterion: str,
    models: Sequence[tuple[str, str]],
    num_queries: int,
    num_places: int,
) -> RenderableType:
    """Lay the findings out; it fits 80 columns with up to nine points a line.

    Args:
        rows: the pairs.
        criterion: the recall, such as `val/recall_at_1`.
        models: what each short name stands for.
        num_queries: behind each recall.
        num_places: that the intervals resample.
    """
    facts = new_table(
        "pair", "start", "weights", "linear", "BN moved", "BN shift", "barrier", "95%", left=("pair", "start")
    )
    for row in rows:
        facts.add_row(
            row.name,
            _STARTS.get(row.start, row.start),
            f"{row.distance:.3f}",
            f"{row.linear_distance:.3f}",
            f"{row.bn_moved}/{row.bn_layers}",
            f"{row.bn_shift:.2f}",
            f"{max(0.0, row.barrier_points):.1f}",
            row.interval,
        )
    shares = [point.t for point in rows[0].points] if rows else []
    line = new_table("pair", *(f"{share:.2f}" for share in shares), left=("pair",))
    for row in rows:
        line.add_row(row.name, *(f"{point.recall.percent:.1f}" for point in row.points))
    return Group(
        Text(f"Soup diagnosis by {criterion}", style="bold"),
        *(Text(f"{short} is {long}") for short, long in models),
        Text(""),
        facts,
        Text(_legend(rows)),
        Text(""),
        Text(f"Recall along the line, {num_queries} queries{_half_width(rows)}", style="bold"),
        line,
        Text(""),
        *(Text(verdict(row)) for row in rows),
        Text(
            f"Intervals of barriers: 95%, paired, {num_places} places resampled, for all points of a line at "
            "once."
        ),
    )


def verdict(row: PairRow) -> str:
    """Say of a pair whether it can be averaged, how sure that is, and what would help."""
    return f"{row.name}: {_finding(row)} {_middle(row)}"


def _finding(row: PairRow) -> str:
    size = f"{row.barrier_points:.1f} points {row.interval} at t = {row.barrier_at:.2f}"
    if row.barrier_low > 0 and row.barrier_points >= TOLERATED_POINTS:
        return f"a barrier of {size}, more than luck; {_advice(row)}."
    if row.barrier_low > 0:
        return f"mergeable at a price: a barrier of {size}, more than luck but small."
    if row.barrier_points >= TOLERATED_POINTS:
        return (
            f"perhaps a barrier: {size}, which may be luck; more val queries would tell. {_start_note(row)}"
        )
    most = max(0.0, row.barrier_high)
    if most > _SHARP_POINTS:
        unsure = f"{row.points[0].recall.num_queries} queries cannot rule out one of {most:.1f} points"
        return f"no barrier seen, but {unsure}. {_start_note(row)}"
    return f"mergeable: no barrier beyond luck, and none above {most:.1f} points. {_start_note(row)}"


def _advice(row: PairRow) -> str:
    if row.start == "same":
        cure = "they began alike and parted: branch later, with a larger search.branch.trunk_epochs"
    elif row.start == "same backbone":
        cure = f"they share the backbone's start alone, their linear layers were drawn apart: {_CURE}"
    elif row.start == "different":
        cure = f"no common start: {_CURE}"
    else:
        cure = f"their start was not recorded: {_CURE}"
    if row.bn_moved and not row.recalibrated:
        cure += "; recomputed BatchNorm statistics may lower it (--recalibrate-bn on)"
    return cure


def _start_note(row: PairRow) -> str:
    notes = {
        "same": "Same start.",
        "same backbone": "Same backbone at the start, other linear layer.",
        "different": "No common start.",
    }
    return notes.get(row.start, "Their start was not recorded.")


def _middle(row: PairRow) -> str:
    """What averaging the two would give, beside the better of them."""
    middle = min(row.points, key=lambda point: abs(point.t - 0.5))
    better = max(row.points[0].recall.percent, row.points[-1].recall.percent)
    return f"At t = {middle.t:.2f} {middle.recall.percent:.1f}, the better end {better:.1f}."


def _half_width(rows: Sequence[PairRow]) -> str:
    halves = [
        50 * (high - low) for row in rows for point in row.points for low, high in [point.recall.interval]
    ]
    return f"; 95% intervals up to ±{max(halves):.1f}" if halves else ""


def _legend(rows: Sequence[PairRow]) -> str:
    integers = max((row.num_integers for row in rows), default=0)
    lines = [
        "start: whether both began with the same weights (all, the backbone's alone, none).",
        "weights, linear: relative distance, of the network and of its linear layer; 1.41 is random.",
        "BN: BatchNorm layers whose statistics differ; their means' distance in standard deviations.",
    ]
    if integers:
        counted = "1 integer buffer differs" if integers == 1 else f"{integers} integer buffers differ"
        lines.append(f"{counted} at most; a soup keeps those of its first ingredient.")
    if any(row.recalibrated for row in rows):
        lines.append("Between the ends, BatchNorm statistics were computed anew over training images.")
    return "\n".join(lines)
