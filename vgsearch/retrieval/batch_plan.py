"""Which images go through the network together: equal sizes, largest first, no batch too large for memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Activations grow with pixels, and batch sizes are chosen for street photos: a batch of 16 such photos and
# one of 16 photos of 48 megapixels must not be the same thing.
PIXELS_PER_IMAGE = 1024 * 1024


@dataclass(frozen=True)
class PlannedBatch:
    """Images of one size: positions in the index, int64 (b,), and their height and width in pixels."""

    ids: NDArray[np.int64]
    height_px: int
    width_px: int

    @property
    def num_bytes(self) -> int:
        """What the decoded uint8 batch takes."""
        return 3 * len(self.ids) * self.height_px * self.width_px


def plan_batches(sizes_px: NDArray[np.int64], batch_size: int) -> Iterator[PlannedBatch]:
    """Divide images into batches of one size each.

    The largest come first, so that memory runs out at once or never. A batch holds `batch_size` images, or
    as many as keep it within `batch_size` megapixels, and at least one.

    Args:
        sizes_px: int64 (n, 2), height and width as the network will see them.
        batch_size: images a batch, at least 1.

    Yields:
        Every image exactly once; images of one size in index order.
    """
    if len(sizes_px) == 0:
        return
    heights, widths = sizes_px[:, 0], sizes_px[:, 1]
    order = np.lexsort((np.arange(len(sizes_px)), widths, heights, -heights * widths))
    changes = 1 + np.flatnonzero((sizes_px[order[1:]] != sizes_px[order[:-1]]).any(axis=1))
    for ids in np.split(order, changes):
        height_px, width_px = (int(side) for side in sizes_px[ids[0]])
        step = min(batch_size, max(1, batch_size * PIXELS_PER_IMAGE // (height_px * width_px)))
        for start in range(0, len(ids), step):
            yield PlannedBatch(ids[start : start + step], height_px, width_px)
