"""Resizing for retrieval: the shorter side to a fixed length, the aspect ratio kept."""

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
    size = (side_px, longer) if height <= width else (longer, side_px)
    return functional.interpolate(image[None], size=size, mode="bilinear", antialias=True)[0]
