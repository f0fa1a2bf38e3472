"""Which images go through the network together: equal sizes, largest first, no batch too large for memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vgsearch.data.framing import OWN_SIZE, Framing

# Activations grow with pixels, and batch sizes are chosen for street photos: a batch of 16 such photos and
# one of 16 photos of 48 megapixels must not be the same thing.
PIXELS_PER_IMAGE = 1024 * 1024


@dataclass(frozen=True)
class PlannedBatch:
    """Images whose pictures are of one size.

    Attributes:
        ids: positions in the index, int64 (b,).
        height_px: of each picture.
        width_px: of each picture.
        framing: how an image becomes its pictures.
    """

    ids: NDArray[np.int64]
    height_px: int
    width_px: int
    framing: Framing = OWN_SIZE

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of the pictures as they lie in memory: (b * views, h, w, 3), the views of one image together."""
        return len(self.ids) * self.framing.num_views, self.height_px, self.width_px, 3

    @property
    def num_bytes(self) -> int:
        """What the decoded uint8 batch takes."""
        return math.prod(self.shape)


def plan_batches(
    sizes_px: NDArray[np.int64], batch_size: int, framing: Framing = OWN_SIZE
) -> Iterator[PlannedBatch]:
    """Divide images into batches of one size each.

    The largest come first, so that memory runs out at once or never. A batch holds `batch_size` pictures, or
    as many as keep it within `batch_size` megapixels, and at least one image. The views of an image stay
    together.

    Args:
        sizes_px: int64 (n, 2), height and width as the network will see them.
        batch_size: pictures a batch, at least 1.
        framing: how an image becomes its pictures.

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
        fitting = min(batch_size, batch_size * PIXELS_PER_IMAGE // (height_px * width_px))
        step = max(1, fitting // framing.num_views)
        for start in range(0, len(ids), step):
            yield PlannedBatch(ids[start : start + step], height_px, width_px, framing)
