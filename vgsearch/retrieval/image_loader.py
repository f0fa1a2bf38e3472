"""Decoded batches of an index, prefetched by threads within a bound on memory."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from vgsearch.data.decode import image_size
from vgsearch.data.index import ImageIndex
from vgsearch.data.prefetch import Prefetcher
from vgsearch.data.resize import resize_shorter_side
from vgsearch.errors import ImageError
from vgsearch.retrieval.batch_plan import PlannedBatch

PREFETCH_BYTES = 512 * 2**20


@dataclass(frozen=True)
class LoadedBatch:
    """Decoded images: positions in the index, int64 (b,), and pixels, uint8 (b, 3, h, w) in channels_last."""

    ids: NDArray[np.int64]
    images: torch.Tensor


def network_sizes(index: ImageIndex, resize_px: int | None, threads: int) -> NDArray[np.int64]:
    """Height and width at which each image will reach the network, int64 (n, 2), from the headers alone.

    Raises:
        ImageError: the first file, in index order, whose header cannot be read.
    """
    paths = [index.absolute(i) for i in range(len(index))]
    with ThreadPoolExecutor(threads, thread_name_prefix="vgsearch-header") as pool:
        sizes = list(pool.map(image_size, paths))
    return np.array([resized_size(*size, resize_px) for size in sizes], dtype=np.int64).reshape(-1, 2)


@functools.lru_cache(maxsize=4096)
def resized_size(height_px: int, width_px: int, resize_px: int | None) -> tuple[int, int]:
    """What `resize_shorter_side` makes of a size; asked of itself, on a tensor without storage."""
    if resize_px is None:
        return height_px, width_px
    bare = torch.empty((3, height_px, width_px), dtype=torch.uint8, device="meta")
    _, height_px, width_px = resize_shorter_side(bare, resize_px).shape
    return height_px, width_px


def load_batches(
    index: ImageIndex,
    plan: Sequence[PlannedBatch],
    *,
    resize_px: int | None,
    threads: int,
    pin_memory: bool = False,
) -> Prefetcher[_Filling, None, LoadedBatch]:
    """Decode the planned batches in order, ahead of who takes them; close it to stop the threads.

    Taking from it raises `ImageError` where an image cannot be decoded or is not what its header said.
    """
    num_images = sum(len(batch.ids) for batch in plan)
    # Enough batches ahead for every thread to have an image, also where nearly every image has its own size.
    ahead = 2 + math.ceil(threads * len(plan) / max(1, num_images))
    most = PREFETCH_BYTES // max((batch.num_bytes for batch in plan), default=1)
    source = _Decoding(index, plan, resize_px, pin_memory)
    return Prefetcher(source, len(plan), threads=threads, ahead=min(ahead, max(2, most)))


class _Filling:
    """A batch under way: room for its pixels, laid out as files hold them, so that a decoder only copies."""

    def __init__(self, planned: PlannedBatch, pin_memory: bool) -> None:
        shape = (len(planned.ids), planned.height_px, planned.width_px, 3)
        self.ids = planned.ids
        self.pixels = torch.empty(shape, dtype=torch.uint8, pin_memory=pin_memory)

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class _Decoding:
    """The prefetcher's source: one planned batch after the other, one image an item."""

    index: ImageIndex
    batches: Sequence[PlannedBatch]
    resize_px: int | None
    pin_memory: bool

    def plan(self, number: int) -> _Filling:
        return _Filling(self.batches[number], self.pin_memory)

    def load(self, plan: _Filling, position: int) -> None:
        position_in_index = int(plan.ids[position])
        path = self.index.absolute(position_in_index)
        image = self.index.read(position_in_index)
        if self.resize_px is not None:
            image = resize_shorter_side(image, self.resize_px)
        pixels, room = image.permute(1, 2, 0), plan.pixels[position]
        if pixels.shape != room.shape:
            raise ImageError(
                f"{path}: decodes to {pixels.shape[1]} x {pixels.shape[0]} pixels, but its header promised "
                f"{room.shape[1]} x {room.shape[0]}; it was changed meanwhile, run again"
            )
        room.copy_(pixels)

    def collate(self, plan: _Filling, items: list[None]) -> LoadedBatch:
        return LoadedBatch(plan.ids, plan.pixels.permute(0, 3, 1, 2))
