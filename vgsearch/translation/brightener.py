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
        return torch.stack([self._one(photo) for photo in photos])

    def _one(self, photo: Tensor) -> Tensor:
        before = luminance(photo)
        levels = before.round().to(torch.uint8)
        # A table of where each level of this photo goes: the middle of its ranks decides.
        share = np.bincount(levels.flatten().numpy(), minlength=NUM_LEVELS) / levels.numel()
        rank = np.cumsum(share) - share / 2
        wanted = np.interp(rank, np.cumsum(self.histogram) - self.histogram / 2, np.arange(NUM_LEVELS))
        after = torch.from_numpy(wanted).float()[levels.long()]
        # Black has no colour to keep: it takes the grey of its new luminance.
        scaled = photo.float() * (after / before.clamp(min=1)) + after * (before < 1)
        return scaled.round_().clamp_(0, 255).to(torch.uint8)


def brightener_like(index: ImageIndex) -> Brightener:
    """Take the luminances of the photos of `index`; of a thousand of them, evenly spaced, if it has more.

    Raises:
        ImageError: one cannot be read.
    """
    ids = np.unique(
        np.linspace(0, len(index) - 1, min(len(index), MAX_STYLE_PHOTOS)).round().astype(np.int64)
    )
    with ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1)) as pool:
        shares = list(pool.map(lambda i: _shares(index.read(i)), ids.tolist()))
    return Brightener(
        np.mean(shares, axis=0),
        {
            "method": "brighten",
            "like": str(index.root),
            "like_hash": index.content_hash,
            "like_photos": len(ids),
        },
    )


def luminance(photo: Tensor) -> Tensor:
    """Rec. 601 luma, float32 (h, w) in [0, 255], of uint8 (3, h, w)."""
    return torch.einsum("chw,c->hw", photo.float(), torch.tensor(_REC_601))


def _shares(photo: Tensor) -> Counts:
    levels = luminance(photo).round().to(torch.uint8).flatten().numpy()
    shares: Counts = np.bincount(levels, minlength=NUM_LEVELS) / len(levels)
    return shares
