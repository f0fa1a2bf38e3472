"""How a photo becomes the pictures that a network sees: whole, at some size, or cut into crops.

The crops are those of the query methods of Berton et al., Deep Visual Geo-localization Benchmark (CVPR 2022):
a central one of the target's size, or five squares from the corners and the middle.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from vgsearch.data.resize import resize_exactly, resize_shorter_side

Kind = Literal["own_size", "shorter_side", "exact", "central_crop", "five_crops"]


@dataclass(frozen=True)
class Framing:
    """A way to frame photos.

    Attributes:
        kind: `own_size` leaves a photo as it is. `shorter_side` resizes it to that, its aspect ratio kept.
            `exact` resizes it to the target, its aspect ratio not kept. `central_crop` resizes it to the
            smallest size that covers the target, its aspect ratio kept, and cuts the target from the middle.
            `five_crops` resizes the shorter side and cuts squares of that side: top left, top right, bottom
            left, bottom right and middle.
        height_px: of the target; of `shorter_side` and `five_crops` that side; 0 for `own_size`.
        width_px: likewise.
    """

    kind: Kind = "own_size"
    height_px: int = 0
    width_px: int = 0

    @property
    def num_views(self) -> int:
        """Pictures a photo."""
        return 5 if self.kind == "five_crops" else 1

    def size_px(self, height_px: int, width_px: int) -> tuple[int, int]:
        """Height and width of the pictures that a photo of a given size becomes."""
        if self.kind == "own_size":
            return height_px, width_px
        if self.kind == "shorter_side":
            return resized_size(height_px, width_px, self.height_px)
        return self.height_px, self.width_px

    def views(self, photo: Tensor) -> tuple[Tensor, ...]:
        """Frame one photo.

        Args:
            photo: uint8 (3, h, w).

        Returns:
            `num_views` pictures, each uint8 (3, *size_px(h, w)); they may share memory.
        """
        if self.kind == "own_size":
            return (photo,)
        if self.kind == "shorter_side":
            return (resize_shorter_side(photo, self.height_px),)
        if self.kind == "exact":
            return (resize_exactly(photo, self.height_px, self.width_px),)
        if self.kind == "central_crop":
            height_px, width_px = photo.shape[1:]
            size = covering_size(height_px, width_px, self.height_px, self.width_px)
            return (_middle(resize_exactly(photo, *size), self.height_px, self.width_px),)
        return _five_squares(resize_shorter_side(photo, self.height_px), self.height_px)


OWN_SIZE = Framing()


def covering_size(height_px: int, width_px: int, to_height_px: int, to_width_px: int) -> tuple[int, int]:
    """The smallest size of the same aspect ratio that covers a target, the longer side rounded down."""
    if to_height_px * width_px >= to_width_px * height_px:
        return to_height_px, to_height_px * width_px // height_px
    return to_width_px * height_px // width_px, to_width_px


@functools.lru_cache(maxsize=4096)
def resized_size(height_px: int, width_px: int, resize_px: int | None) -> tuple[int, int]:
    """What `resize_shorter_side` makes of a size; asked of itself, on a tensor without storage."""
    if resize_px is None:
        return height_px, width_px
    bare = torch.empty((3, height_px, width_px), dtype=torch.uint8, device="meta")
    _, height_px, width_px = resize_shorter_side(bare, resize_px).shape
    return height_px, width_px


def _middle(image: Tensor, height_px: int, width_px: int) -> Tensor:
    """Cut from the middle; an odd pixel falls as `round` puts it, which is to even numbers, as elsewhere."""
    top = round((image.shape[1] - height_px) / 2)
    left = round((image.shape[2] - width_px) / 2)
    return image[:, top : top + height_px, left : left + width_px]


def _five_squares(image: Tensor, side_px: int) -> tuple[Tensor, ...]:
    return (
        image[:, :side_px, :side_px],
        image[:, :side_px, -side_px:],
        image[:, -side_px:, :side_px],
        image[:, -side_px:, -side_px:],
        _middle(image, side_px, side_px),
    )
