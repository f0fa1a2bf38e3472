"""Batches of photos of two domains that do not belong together, drawn from (seed, epoch, position) alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vgsearch.config.translation import TranslationConfig
from vgsearch.data.draws import Salt, random_uniforms
from vgsearch.data.index import ImageIndex
from vgsearch.data.prefetch import Prefetcher
from vgsearch.translation.photo_size import WorkingSize, resized

_UNIFORMS = 4  # which photo, top, left, mirrored

PhotoPair = tuple[Tensor, Tensor]
"""Photos of the first and of the second domain, each uint8 (b, 3, crop_px, crop_px)."""


def num_iterations(config: TranslationConfig, indexes: Sequence[ImageIndex]) -> int:
    """Steps of an epoch."""
    if config.iterations_per_epoch is not None:
        return config.iterations_per_epoch
    return math.ceil(max(len(index) for index in indexes) / config.batch_size)


def training_photos(
    config: TranslationConfig, indexes: tuple[ImageIndex, ImageIndex], epoch: int, *, threads: int
) -> Prefetcher[_Planned, Tensor, PhotoPair]:
    """The batches of one epoch, read ahead by threads; close it to stop them.

    As the authors do, each photo is drawn from its whole folder, resized, cut to a random square, and
    mirrored half of the time.

    Args:
        config: sizes, seed.
        indexes: photos of both domains.
        epoch: from 1.
        threads: how many read.
    """
    source = _Reading(config, indexes, epoch)
    return Prefetcher(source, num_iterations(config, indexes), threads=threads)


@dataclass(frozen=True)
class _Planned:
    """What is drawn for the photos of a batch, float64 (2, b, 4): one row for each domain."""

    uniforms: NDArray[np.float64]

    def __len__(self) -> int:
        return 2 * int(self.uniforms.shape[1])


@dataclass(frozen=True)
class _Reading:
    """The prefetcher's source; the photos of the first domain come first."""

    config: TranslationConfig
    indexes: tuple[ImageIndex, ImageIndex]
    epoch: int

    def plan(self, number: int) -> _Planned:
        size = self.config.batch_size
        positions = np.arange(number * size, (number + 1) * size, dtype=np.int64)
        key = (Salt.TRANSLATION, self.config.seed, self.epoch)
        return _Planned(np.stack([random_uniforms((*key, d), positions, _UNIFORMS) for d in (0, 1)]))

    def load(self, plan: _Planned, position: int) -> Tensor:
        domain, row = divmod(position, plan.uniforms.shape[1])
        which, top, left, mirrored = plan.uniforms[domain, row]
        index = self.indexes[domain]
        photo = index.read(int(which * len(index)))
        photo = resized(photo, *WorkingSize(self.config.load_px).of(*photo.shape[1:]))
        side = self.config.crop_px
        y, x = (int(u * (length - side + 1)) for u, length in zip((top, left), photo.shape[1:], strict=True))
        crop = photo[:, y : y + side, x : x + side]
        return crop.flip(-1) if mirrored < self.config.flip else crop

    def collate(self, plan: _Planned, items: list[Tensor]) -> PhotoPair:
        half = len(items) // 2
        return torch.stack(items[:half]), torch.stack(items[half:])
