"""The size at which photos are translated, and back: by Pillow's bicubic filter, as the authors load them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vgsearch.errors import ConfigError, DataError

LEAST_PX = 16
"""The least side of a photo: at a quarter of it, borders must still have something to reflect."""


@dataclass(frozen=True)
class WorkingSize:
    """Photos are translated with their shorter side at `load_px`, their aspect ratio kept; None leaves them.

    As in the authors' test script, nothing is cropped. What they then keep at that size is brought back to
    the photo's own here, so that a translated folder is scored at the same size as the original.
    """

    load_px: int | None

    def __post_init__(self) -> None:
        """Refuse a side that is too small.

        Raises:
            ConfigError: it is below `LEAST_PX`.
        """
        if self.load_px is not None and self.load_px < LEAST_PX:
            raise ConfigError([f"photos must have sides of at least {LEAST_PX} px, got {self.load_px}"])

    def of(self, height_px: int, width_px: int) -> tuple[int, int]:
        """Height and width at which a photo of a given size is translated, the longer side rounded down."""
        if self.load_px is None:
            return height_px, width_px
        shorter, longer = min(height_px, width_px), max(height_px, width_px)
        scaled = max(self.load_px, self.load_px * longer // shorter)
        return (self.load_px, scaled) if height_px <= width_px else (scaled, self.load_px)


def require_sides(height_px: int, width_px: int, name: str) -> None:
    """Refuse a photo that is too small to be translated.

    Raises:
        DataError: a side is below `LEAST_PX`; `name` is named.
    """
    if min(height_px, width_px) < LEAST_PX:
        raise DataError(
            f"{name}: {width_px} x {height_px} pixels are too few to translate, which needs {LEAST_PX} a "
            "side: enlarge it with --resize-px"
        )


def resized(photo: Tensor, height_px: int, width_px: int) -> Tensor:
    """Resize one photo.

    Args:
        photo: uint8 (3, h, w) on the CPU.
        height_px: Height afterwards.
        width_px: Width afterwards.

    Returns:
        uint8 (3, height_px, width_px), the photo itself if it has that size.
    """
    if photo.shape[1:] == (height_px, width_px):
        return photo
    image = Image.fromarray(photo.permute(1, 2, 0).contiguous().numpy())
    pixels = np.array(image.resize((width_px, height_px), Image.Resampling.BICUBIC))
    return torch.from_numpy(pixels).permute(2, 0, 1)
