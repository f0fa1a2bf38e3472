"""Decoded batches of an index, prefetched by threads within a bound on memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from vgsearch.data.decode import image_size
from vgsearch.data.framing import Framing
from vgsearch.data.index import ImageIndex
from vgsearch.data.prefetch import Prefetcher
from vgsearch.errors import ImageError
from vgsearch.retrieval.batch_plan import PlannedBatch

PREFETCH_BYTES = 512 * 2**20


@dataclass(frozen=True)
class LoadedBatch:
    """Decoded images.

    Attributes:
        ids: positions in the index, int64 (b,).
        images: uint8 (b * views, 3, h, w) in channels_last, the views of one image together.
    """

    ids: NDArray[np.int64]
    images: torch.Tensor

    @property
    def num_views(self) -> int:
        """Pictures an image."""
        return len(self.images) // len(self.ids)


def network_sizes(index: ImageIndex, framing: Framing, threads: int) -> NDArray[np.int64]:
    """Height and width at which each image will reach the network, int64 (n, 2), from the headers alone.

    Raises:
        ImageError: the first file, in index order, whose header cannot be read.
    """
    sizes = [framing.size_px(*size) for size in file_sizes(index, threads)]
    return np.array(sizes, dtype=np.int64).reshape(-1, 2)


def file_sizes(index: ImageIndex, threads: int) -> list[tuple[int, int]]:
    """Height and width of each file, from the headers alone.

    Raises:
        ImageError: the first file, in index order, whose header cannot be read.
    """
    paths = [index.absolute(i) for i in range(len(index))]
    with ThreadPoolExecutor(threads, thread_name_prefix="vgsearch-header") as pool:
        return list(pool.map(image_size, paths))


def load_batches(
    index: ImageIndex,
    plan: Sequence[PlannedBatch],
    *,
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
    source = _Decoding(index, plan, pin_memory)
    return Prefetcher(source, len(plan), threads=threads, ahead=min(ahead, max(2, most)))


class _Filling:
    """A batch under way: room for its pixels, laid out as files hold them, so that a decoder only copies."""

    def __init__(self, planned: PlannedBatch, pin_memory: bool) -> None:
        self.ids = planned.ids
        self.framing = planned.framing
        self.pixels = torch.empty(planned.shape, dtype=torch.uint8, pin_memory=pin_memory)

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class _Decoding:
    """The prefetcher's source: one planned batch after the other, one image an item."""

    index: ImageIndex
    batches: Sequence[PlannedBatch]
    pin_memory: bool

    def plan(self, number: int) -> _Filling:
        return _Filling(self.batches[number], self.pin_memory)

    def load(self, plan: _Filling, position: int) -> None:
        position_in_index = int(plan.ids[position])
        views = plan.framing.views(self.index.read(position_in_index))
        first = position * plan.framing.num_views
        for view, room in zip(views, plan.pixels[first : first + len(views)], strict=True):
            pixels = view.permute(1, 2, 0)
            if pixels.shape != room.shape:
                raise ImageError(
                    f"{self.index.absolute(position_in_index)}: decodes to {pixels.shape[1]} x "
                    f"{pixels.shape[0]} pixels, but its header promised {room.shape[1]} x {room.shape[0]}; "
                    "it was changed meanwhile, run again"
                )
            room.copy_(pixels)

    def collate(self, plan: _Filling, items: list[None]) -> LoadedBatch:
        return LoadedBatch(plan.ids, plan.pixels.permute(0, 3, 1, 2))
