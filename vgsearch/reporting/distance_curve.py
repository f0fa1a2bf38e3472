"""Recall against the distance of a positive: a table of ten distances, and all of them as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from vgsearch.reporting.table import new_table
from vgsearch.retrieval.distance_curve import DistancePoint
from vgsearch.retrieval.recall import Recall

SHOWN_M = (1, 2, 5, 10, 15, 20, 25, 50, 75, 100)


def render_distance_curve(name: str, points: Sequence[DistancePoint]) -> RenderableType:
    """A line for each of `SHOWN_M`, with 95% intervals, in 80 columns.

    Args:
        name: of the split.
        points: at least one.
    """
    headers = [f"R@{recall.n} [95%]" for recall in points[0].recalls]
    table = new_table("m", *headers, "no positive")
    for point in points:
        if point.distance_m in SHOWN_M:
            recalls = [_compact(recall) for recall in point.recalls]
            table.add_row(f"{point.distance_m:g}", *recalls, str(point.num_without_positive))
    title = f"{name}: recall by the distance within which an image is right"
    lines: list[RenderableType] = [Text(title, style="bold"), table]
    if any(point.num_without_positive for point in points):
        num_queries = points[0].recalls[0].num_queries
        lines.append(
            Text(
                f"Of {num_queries} queries, those without any database image so near have no positive there "
                "and count as failures."
            )
        )
    return Group(*lines)


def distance_curve_csv(points: Sequence[DistancePoint]) -> bytes:
    """A line for each distance: counts, and recalls in percent with the ends of their intervals."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [f"recall_at_{recall.n}" for recall in points[0].recalls]
    columns = [f"{name}{end}" for name in names for end in ("", "_low", "_high")]
    writer.writerow(["distance_m", "num_queries", "num_without_positive", *columns])
    for point in points:
        cells = [f"{value:.4f}" for recall in point.recalls for value in _percents(recall)]
        num_queries = point.recalls[0].num_queries
        writer.writerow([f"{point.distance_m:g}", num_queries, point.num_without_positive, *cells])
    return text.getvalue().encode("utf-8")


def _percents(recall: Recall) -> tuple[float, float, float]:
    low, high = recall.interval
    return recall.percent, 100 * low, 100 * high


def _compact(recall: Recall) -> str:
    """`63.0 [59,67]`: four of them stand side by side."""
    percent, low, high = _percents(recall)
    shown = f"{percent:.1f}".replace("100.0", "100")
    return f"{shown} [{low:.0f},{high:.0f}]"
