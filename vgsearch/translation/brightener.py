"""The plain way from night to day, to compare a learned one with: luminances of day photos, colours kept.

Histogram specification (Gonzalez & Woods, Digital Image Processing, 3.3.2): a photo's luminances are mapped
in their order onto the distribution of the luminances of the other photos taken together.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vgsearch.data.index import ImageIndex
from vgsearch.translation.photo_size import WorkingSize

NUM_LEVELS = 256
MAX_STYLE_PHOTOS = 1000
_REC_601 = (0.299, 0.587, 0.114)
_MAX_THREADS = 8

Counts = NDArray[np.float64]


@dataclass(frozen=True)
class Brightener:
    """A `TranslationMethod` without weights; deterministic, and photo by photo.

    Attributes:
        histogram: how often each of 256 luminances is wanted, float64 (256,), summing to 1.
        provenance: whose luminances they are.
    """

    histogram: Counts
    provenance: Mapping[str, str | int]

    @property
    def size(self) -> WorkingSize:
        """Photos are changed at their own size."""
        return WorkingSize(None)

    def translate(self, photos: Tensor) -> Tensor:
        """Give photos, uint8 (b, 3, h, w), the luminances of the others; the same shape and dtype."""
        before = luminance(photos)
        levels = before.round().flatten(1).long()
        tables = torch.from_numpy(self._tables(level_shares(levels))).float()
        after = tables.gather(1, levels).view_as(before)
        # Black has no colour to keep: it takes the grey of its new luminance.
        scaled = photos * (after / before.clamp(min=1))[:, None] + (after * (before < 1))[:, None]
        return scaled.round_().clamp_(0, 255).to(torch.uint8)

    def _tables(self, shares: Counts) -> Counts:
        """Where each level of each photo goes, float64 (b, 256): the middle of its ranks decides."""
        rank = np.cumsum(shares, axis=1) - shares / 2
        wanted_rank = np.cumsum(self.histogram) - self.histogram / 2
        tables: Counts = np.interp(rank, wanted_rank, np.arange(NUM_LEVELS))
        return tables


def brightener_like(index: ImageIndex) -> Brightener:
    """Take the luminances of the photos of `index`; of a thousand of them, evenly spaced, if it has more.

    Raises:
        ImageError: one cannot be read.
    """
    ids = np.unique(
        np.linspace(0, len(index) - 1, min(len(index), MAX_STYLE_PHOTOS)).round().astype(np.int64)
    )
    with ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1)) as pool:
        shares = list(pool.map(lambda i: _shares_of(index.read(i)), ids.tolist()))
    return Brightener(
        np.mean(shares, axis=0),
        {
            "method": "brighten",
            "like": str(index.root),
            "like_hash": index.content_hash,
            "like_photos": len(ids),
        },
    )


def luminance(photos: Tensor) -> Tensor:
    """Rec. 601 luma, float32 (b, h, w) in [0, 255], of uint8 (b, 3, h, w)."""
    return torch.einsum("bchw,c->bhw", photos.float(), torch.tensor(_REC_601))


def level_shares(levels: Tensor) -> Counts:
    """How often each level stands in each photo, float64 (b, 256), of int64 (b, pixels)."""
    count, pixels = levels.shape
    numbered = levels + NUM_LEVELS * torch.arange(count)[:, None]
    counts = np.bincount(numbered.flatten().numpy(), minlength=count * NUM_LEVELS)
    shares: Counts = counts.reshape(count, NUM_LEVELS) / pixels
    return shares


def _shares_of(photo: Tensor) -> Counts:
    shares: Counts = level_shares(luminance(photo[None]).round().flatten(1).long())[0]
    return shares
