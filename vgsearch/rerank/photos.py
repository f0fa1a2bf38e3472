"""Decoded photos of several indexes in one batch, made ahead of time."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vgsearch.data.decode import image_size
from vgsearch.data.framing import Framing
from vgsearch.data.index import ImageIndex
from vgsearch.errors import ImageError

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class PhotoGroup:
    """Photos of one index that have one size once they are framed.

    Attributes:
        index: Where they are.
        ids: Rows of it, int64 (m,), at least one.
    """

    index: ImageIndex
    ids: Ints


@dataclass(frozen=True)
class PhotoBatch:
    """What is read together; its length is the number of photos."""

    groups: tuple[PhotoGroup, ...]

    def __len__(self) -> int:
        return sum(len(group.ids) for group in self.groups)

    def photo(self, position: int) -> tuple[ImageIndex, int]:
        """Index and row of the photo at `position`, the groups' photos being numbered on."""
        for group in self.groups:
            if position < len(group.ids):
                return group.index, int(group.ids[position])
            position -= len(group.ids)
        raise IndexError(position)


@dataclass(frozen=True)
class PhotoSource:
    """A prefetcher's source: batch after batch, one photo an item.

    Attributes:
        batches: What to read.
        framing: How a photo becomes the picture that is computed with; one view.
        pin_memory: Whether batches lie in page-locked memory.
    """

    batches: Sequence[PhotoBatch]
    framing: Framing
    pin_memory: bool = False

    def plan(self, number: int) -> PhotoBatch:
        """Batch `number`."""
        return self.batches[number]

    def load(self, plan: PhotoBatch, position: int) -> Tensor:
        """Read and frame one photo, uint8 (3, h, w)."""
        index, row = plan.photo(position)
        return self.framing.views(index.read(row))[0]

    def collate(self, plan: PhotoBatch, items: list[Tensor]) -> list[Tensor]:
        """One uint8 (m, 3, h, w) for each group, channels last in memory."""
        joined, start = [], 0
        for group in plan.groups:
            photos = items[start : start + len(group.ids)]
            start += len(group.ids)
            for photo, row in zip(photos, group.ids.tolist(), strict=True):
                if photo.shape != photos[0].shape:
                    raise ImageError(
                        f"{group.index.absolute(row)}: decodes to another size than its header promised; "
                        "it was changed meanwhile, run again"
                    )
            # Decoded pixels are interleaved: joined as they lie, every copy is a plain one.
            stacked = torch.stack([photo.permute(1, 2, 0) for photo in photos])
            joined.append((stacked.pin_memory() if self.pin_memory else stacked).permute(0, 3, 1, 2))
        return joined


def framed_sizes(index: ImageIndex, ids: Ints, framing: Framing, threads: int) -> Ints:
    """Height and width of photos once they are framed, int64 (m, 2), from their headers alone.

    Raises:
        ImageError: The first file whose header cannot be read.
    """
    paths = [index.absolute(row) for row in ids.tolist()]
    with ThreadPoolExecutor(threads, thread_name_prefix="vgsearch-header") as pool:
        sizes = [framing.size_px(*size) for size in pool.map(image_size, paths)]
    return np.array(sizes, dtype=np.int64).reshape(-1, 2)


def equal_runs(keys: Ints, order: Ints, most: int, *, pixels: Ints) -> list[Ints]:
    """Divide rows into batches of equal keys.

    Args:
        keys: int64 (n, k).
        order: In which the rows of equal keys come, int64 (n,).
        most: Rows a batch, or as many as keep it within `most` megapixels, and at least one.
        pixels: Of each row, int64 (n,).

    Returns:
        Rows, each exactly once; the largest first, so that memory runs out at once or never.
    """
    if not len(keys):
        return []
    rows = order[np.lexsort((*keys[order].T, -pixels[order]))]
    borders = 1 + np.flatnonzero((keys[rows[1:]] != keys[rows[:-1]]).any(axis=1))
    batches = []
    for run in np.split(rows, borders):
        step = max(1, min(most, most * 2**20 // int(pixels[run[0]])))
        batches += [run[start : start + step] for start in range(0, len(run), step)]
    return batches
