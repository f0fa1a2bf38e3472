"""Batches of images that many networks look at: decoded for the first, mapped from disk for the others."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vgsearch.data.index import ImageIndex
from vgsearch.data.prefetch import Prefetcher
from vgsearch.ensembling.pixel_file import PixelFile
from vgsearch.retrieval.batch_plan import PlannedBatch
from vgsearch.retrieval.image_loader import LoadedBatch, load_batches

# Batches on their way from the disk.
_AHEAD = 3


class CachedBatches:
    """The batches of a plan, always in its order, at the size in which a network sees them.

    A pass may end at any batch. The next one reads what the passes before it decoded and decodes the rest:
    each image is decoded once, if the file has room for it.
    """

    def __init__(
        self,
        index: ImageIndex,
        plan: Sequence[PlannedBatch],
        pixels: PixelFile,
        *,
        threads: int,
        pin_memory: bool = False,
    ) -> None:
        """Describe the batches; nothing is read yet.

        Args:
            index: The images.
            plan: Batches of equal size each, as `plan_batches` makes them, in any order.
            pixels: Room, with one slot of `num_bytes` for each batch.
            threads: Threads that decode or read.
            pin_memory: Whether batches go to a GPU.
        """
        self._index = index
        self._plan = plan
        self._pixels = pixels
        self._threads = threads
        self._pin_memory = pin_memory
        self._num_kept = 0
        self.num_decoded = 0

    def batches(self) -> Generator[LoadedBatch, None, None]:
        """All batches; close the iterator to stop early.

        Raises:
            ImageError: An image cannot be decoded, or is not what its header said.
        """
        kept = self._num_kept
        if kept:
            source = _Stored(self._plan, self._pixels, self._pin_memory)
            reading: Prefetcher[_Room, None, LoadedBatch] = Prefetcher(
                source, kept, threads=self._threads, ahead=_AHEAD
            )
            with closing(reading):
                yield from reading
        if kept == len(self._plan):
            return
        decoding = load_batches(
            self._index,
            self._plan[kept:],
            threads=self._threads,
            pin_memory=self._pin_memory,
        )
        with closing(decoding):
            for number, batch in enumerate(decoding, start=kept):
                self.num_decoded += len(batch.ids)
                interleaved = batch.images.permute(0, 2, 3, 1)  # as it lies in memory
                if number == self._num_kept and self._pixels.put(number, interleaved):
                    self._num_kept += 1
                yield batch


class _Room:
    """A batch under way; one item, since a slot is copied as a whole."""

    def __init__(self, number: int, batch: PlannedBatch, pin_memory: bool) -> None:
        self.number = number
        self.ids: NDArray[np.int64] = batch.ids
        self.pixels: Tensor = torch.empty(batch.shape, dtype=torch.uint8, pin_memory=pin_memory)

    def __len__(self) -> int:
        return 1


@dataclass(frozen=True)
class _Stored:
    """The prefetcher's source: slots of the file."""

    batches: Sequence[PlannedBatch]
    pixels: PixelFile
    pin_memory: bool

    def plan(self, number: int) -> _Room:
        return _Room(number, self.batches[number], self.pin_memory)

    def load(self, plan: _Room, position: int) -> None:
        self.pixels.get(plan.number, plan.pixels)

    def collate(self, plan: _Room, items: list[None]) -> LoadedBatch:
        return LoadedBatch(plan.ids, plan.pixels.permute(0, 3, 1, 2))
