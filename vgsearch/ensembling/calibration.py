"""The training images that BatchNorm statistics are taken from again: few, fixed by a seed, decoded once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vgsearch.data.index import ImageIndex
from vgsearch.data.prefetch import Prefetcher
from vgsearch.data.resize import resize_shorter_side
from vgsearch.ensembling.pixel_file import PixelFile

BATCH_SIZE = 32
# Keeps this choice of images apart from other draws of the same seed.
_SALT = 0x626E696D67


class CalibrationImages:
    """Batches of square training images: shorter side resized, centre cropped, no augmentation.

    Every batch is full, since all batches count alike in the statistics; an index with fewer images than one
    batch gives a single smaller one.
    """

    def __init__(
        self,
        index: ImageIndex,
        *,
        side_px: int,
        num_images: int,
        seed: int,
        threads: int,
        folder: Path,
        max_bytes: int,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        """Choose the images; they are decoded with the first pass.

        Args:
            index: Training images, at least one.
            side_px: Side of the squares.
            num_images: How many, at most; rounded down to full batches.
            seed: Which.
            threads: Loader threads.
            folder: Where decoded pixels may lie.
            max_bytes: How many of them.
            say: Told where they do not fit.
        """
        order = np.random.default_rng([_SALT, seed]).permutation(len(index))
        count = min(num_images, len(index))
        size = min(BATCH_SIZE, count)
        ids = order[: count // size * size].astype(np.int64)
        self._batches = ids.reshape(-1, size)
        slot_bytes = [3 * size * side_px * side_px] * len(self._batches)
        self.num_bytes = sum(slot_bytes)
        self._pixels = PixelFile(folder, slot_bytes, max_bytes=max_bytes, say=say)
        self._source = _Squares(index, side_px, self._batches, self._pixels)
        self._threads = threads

    @property
    def num_images(self) -> int:
        """How many images a pass has."""
        return int(self._batches.size)

    def batches(self) -> Iterator[Tensor]:
        """Uint8 (b, 3, side, side) each, the same at every call.

        Raises:
            ImageError: An image cannot be read.
        """
        prefetcher = Prefetcher(self._source, len(self._batches), threads=self._threads)
        with closing(prefetcher):
            for number, batch in enumerate(prefetcher):
                if number == self._source.num_kept and self._pixels.put(number, batch):
                    self._source.num_kept += 1
                yield batch.permute(0, 3, 1, 2)

    def close(self) -> None:
        """Give the disk space back."""
        self._pixels.close()


class _Squares:
    """The prefetcher's source: one batch after the other, from the files or from the disk's copy."""

    def __init__(
        self, index: ImageIndex, side_px: int, batches: NDArray[np.int64], pixels: PixelFile
    ) -> None:
        self.index = index
        self.side_px = side_px
        self.batches = batches
        self.pixels = pixels
        self.num_kept = 0

    def plan(self, number: int) -> _Square:
        ids = self.batches[number]
        room = torch.empty((len(ids), self.side_px, self.side_px, 3), dtype=torch.uint8)
        return _Square(number, ids, room, is_kept=number < self.num_kept)

    def load(self, plan: _Square, position: int) -> None:
        if plan.is_kept:
            self.pixels.get(plan.number, plan.pixels)
            return
        image = self.index.read(int(plan.ids[position]))
        plan.pixels[position] = centre_square(image, self.side_px).permute(1, 2, 0)

    def collate(self, plan: _Square, items: list[None]) -> Tensor:
        return plan.pixels


@dataclass(frozen=True)
class _Square:
    """A batch under way: one item for each image to decode, or a single one for all."""

    number: int
    ids: NDArray[np.int64]
    pixels: Tensor
    is_kept: bool

    def __len__(self) -> int:
        return 1 if self.is_kept else len(self.ids)


def centre_square(image: Tensor, side_px: int) -> Tensor:
    """Resize the shorter side and cut the middle out of the longer one.

    Args:
        image: uint8 (3, h, w).
        side_px: Side of the result.

    Returns:
        uint8 (3, side_px, side_px).
    """
    image = resize_shorter_side(image, side_px)
    top, left = (image.shape[1] - side_px) // 2, (image.shape[2] - side_px) // 2
    return image[:, top : top + side_px, left : left + side_px]
