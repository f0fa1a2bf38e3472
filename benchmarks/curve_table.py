"""The table of learning curves that `record_curves.py` writes and `search_efficiency.py` searches.

A row is one configuration of a fixed grid: loss, strength of its margin, learning rate, gradient reversal.
Ordered axes are whole numbers of the grid, so that a sampler may use their order.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

EPOCHS = 9

# The weaker and the stronger margin of each loss; the stronger ones are those of the paper's Table 1.
LOSSES: Mapping[str, tuple[Mapping[str, float], Mapping[str, float]]] = {
    "cosface": ({"margin_cos": 0.1}, {"margin_cos": 0.4}),
    "arcface": ({"margin_rad": 0.1}, {"margin_rad": 0.5}),
    "sphereface": ({"margin_mul": 1.1}, {"margin_mul": 1.5}),
}
LEARNING_RATES = (3e-4, 1e-3, 3e-3, 1e-2)
GRL_ALPHAS = (None, 0.1, 0.3, 1.0)

_KEYS = ("loss", "margin", "lr", "grl_alpha")
_HEADER = [*_KEYS, *(f"epoch_{epoch}" for epoch in range(1, EPOCHS + 1))]


@dataclass(frozen=True, order=True)
class GridPoint:
    """One configuration: the loss by name, the others as indices into this module's tuples."""

    loss: str
    margin: int
    lr: int
    grl_alpha: int


def grid() -> Iterator[GridPoint]:
    """Every configuration, the losses outermost."""
    axes = (LOSSES, range(2), range(len(LEARNING_RATES)), range(len(GRL_ALPHAS)))
    for loss, margin, lr, alpha in itertools.product(*axes):
        yield GridPoint(loss, margin, lr, alpha)


def read_table(path: Path) -> dict[GridPoint, tuple[float, ...]]:
    """Read recorded curves: recall in percent after each epoch, by configuration; a missing file is empty.

    Raises:
        ValueError: the file is no such table.
    """
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    if header != _HEADER:
        raise ValueError(f"{path}: the columns must be {', '.join(_HEADER)}, got {', '.join(header)}")
    curves = {}
    for line, row in enumerate(rows, start=2):
        if len(row) != len(_HEADER):
            raise ValueError(f"{path}:{line}: must have {len(_HEADER)} values, got {len(row)}")
        point = GridPoint(row[0], *(int(index) for index in row[1:4]))
        curves[point] = tuple(float(value) for value in row[4:])
    return curves


def append_row(path: Path, point: GridPoint, curve: Sequence[float]) -> None:
    """Add one finished configuration; the first one writes the header too."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(_HEADER)
        writer.writerow([point.loss, point.margin, point.lr, point.grl_alpha, *(f"{v:.4g}" for v in curve)])
