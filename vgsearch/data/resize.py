"""Resizing for retrieval: the shorter side to a fixed length, or both sides."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def resize_shorter_side(image: Tensor, side_px: int) -> Tensor:
    """Resize with antialiased bilinear filtering, as torchvision's `Resize(side_px)` does.

    Args:
        image: uint8 (3, h, w).
        side_px: Length of the shorter side afterwards; the longer one is truncated to whole pixels.

    Returns:
        uint8 (3, h', w'), the image itself if it has that size already.
    """
    height, width = image.shape[1:]
    shorter, longer = min(height, width), max(height, width)
    if shorter == side_px:
        return image
    longer = max(1, int(side_px * longer / shorter))
    return resize_exactly(image, *((side_px, longer) if height <= width else (longer, side_px)))


def resize_exactly(image: Tensor, height_px: int, width_px: int) -> Tensor:
    """Resize both sides with antialiased bilinear filtering, whatever the aspect ratio.

    Args:
        image: uint8 (3, h, w).
        height_px: Height afterwards.
        width_px: Width afterwards.

    Returns:
        uint8 (3, height_px, width_px), the image itself if it has that size already.
    """
    size = (height_px, width_px)
    if image.shape[1:] == size:
        return image
    return functional.interpolate(image[None], size=size, mode="bilinear", antialias=True)[0]
