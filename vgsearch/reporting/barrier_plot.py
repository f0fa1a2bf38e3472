"""The recall along each line as a picture: every point with its interval, and the ends joined by a line."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vgsearch.reporting.diagnosis import PairRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 3
_WIDTH_IN, _HEIGHT_IN = 4.0, 3.2
_DPI = 150


def plot_lines(rows: Sequence[PairRow], *, criterion: str) -> bytes:
    """Draw a panel for each pair, with one scale of recall for all.

    Args:
        rows: the pairs, at least one.
        criterion: the recall, such as `val/recall_at_1`.

    Returns:
        A PNG file. Nothing is shown and no window system is needed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(_COLUMNS, len(rows))
    lines = math.ceil(len(rows) / columns)
    figure = Figure(figsize=(_WIDTH_IN * columns, _HEIGHT_IN * lines), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(lines, columns, squeeze=False, sharey=True)
    for panel, row in zip(panels.flat, rows, strict=False):
        _draw(panel, row)
    for panel in panels.flat[len(rows) :]:
        panel.set_visible(False)
    figure.supxlabel("share of the second network in the weights", fontsize=10)
    figure.supylabel(f"{criterion}, percent", fontsize=10)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=_DPI)
    return picture.getvalue()


def _draw(panel: Axes, row: PairRow) -> None:
    shares = [point.t for point in row.points]
    percents = [point.recall.percent for point in row.points]
    below = [p - 100 * point.recall.interval[0] for p, point in zip(percents, row.points, strict=True)]
    above = [100 * point.recall.interval[1] - p for p, point in zip(percents, row.points, strict=True)]
    panel.plot([shares[0], shares[-1]], [percents[0], percents[-1]], linestyle="--", color="0.6", linewidth=1)
    # Rounding may leave an end of an interval a hair inside its point.
    errors = [[max(0.0, error) for error in side] for side in (below, above)]
    panel.errorbar(shares, percents, yerr=errors, marker="o", capsize=3, linewidth=1.5, color="tab:blue")
    panel.set_title(
        f"{row.name} (start: {row.start})\nbarrier {max(0.0, row.barrier_points):.1f} {row.interval} points",
        fontsize=9,
    )
    panel.set_xticks(shares)
    panel.tick_params(labelsize=8)
    panel.grid(axis="y", color="0.9")
