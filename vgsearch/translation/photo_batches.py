"""Photos of an index in batches of one size, read and resized ahead of time by threads."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vgsearch.data.decode import image_size
from vgsearch.data.index import ImageIndex
from vgsearch.data.prefetch import Prefetcher
from vgsearch.translation.photo_size import WorkingSize, require_sides, resized

Sizes = NDArray[np.int64]

_PIXELS_PER_PHOTO = 1024 * 1024


@dataclass(frozen=True)
class PhotoBatch:
    """Photos of one size.

    Attributes:
        ids: rows of the index, int64 (b,).
        photos: uint8 (b, 3, h, w) at their working size.
        sizes_px: their own height and width, int64 (b, 2).
    """

    ids: Sizes
    photos: Tensor
    sizes_px: Sizes


def photo_batches(
    index: ImageIndex, size: WorkingSize, *, batch_size: int, threads: int
) -> Prefetcher[_Planned, Tensor, PhotoBatch]:
    """Read all photos, largest first; close it to stop the threads.

    A batch holds `batch_size` photos, or as many as keep it within `batch_size` megapixels, and at least one.

    Args:
        index: the photos.
        size: at which they are wanted.
        batch_size: photos at once, >= 1.
        threads: how many read.

    Raises:
        ImageError: the first photo, in index order, whose header cannot be read; when it is taken, one that
            cannot be decoded.
        DataError: a photo is too small.
    """
    paths = [index.absolute(i) for i in range(len(index))]
    with ThreadPoolExecutor(threads, thread_name_prefix="vgsearch-header") as pool:
        own = list(pool.map(image_size, paths))
    working = [size.of(*each) for each in own]
    for path, each in zip(paths, working, strict=True):
        require_sides(*each, name=str(path))
    plans = _plan(np.array(own, np.int64), np.array(working, np.int64), batch_size)
    return Prefetcher(_Reading(index, plans), len(plans), threads=threads)


@dataclass(frozen=True)
class _Planned:
    """Rows of the index with one working size, and each one's own size."""

    ids: Sizes
    height_px: int
    width_px: int
    sizes_px: Sizes

    def __len__(self) -> int:
        return len(self.ids)


def _plan(own: Sizes, working: Sizes, batch_size: int) -> list[_Planned]:
    """Divide photos by working size, int64 (n, 2); largest first: memory runs out at once or never."""
    heights, widths = working[:, 0], working[:, 1]
    order = np.lexsort((np.arange(len(working)), widths, heights, -heights * widths))
    changes = 1 + np.flatnonzero((working[order[1:]] != working[order[:-1]]).any(axis=1))
    plans = []
    for ids in np.split(order, changes):
        height_px, width_px = working[ids[0]].tolist()
        step = max(1, min(batch_size, batch_size * _PIXELS_PER_PHOTO // (height_px * width_px)))
        parts = [ids[start : start + step] for start in range(0, len(ids), step)]
        plans += [_Planned(part, height_px, width_px, own[part]) for part in parts]
    return plans


@dataclass(frozen=True)
class _Reading:
    """The prefetcher's source."""

    index: ImageIndex
    plans: Sequence[_Planned]

    def plan(self, number: int) -> _Planned:
        return self.plans[number]

    def load(self, plan: _Planned, position: int) -> Tensor:
        return resized(self.index.read(int(plan.ids[position])), plan.height_px, plan.width_px)

    def collate(self, plan: _Planned, items: list[Tensor]) -> PhotoBatch:
        return PhotoBatch(plan.ids, torch.stack(items), plan.sizes_px)
