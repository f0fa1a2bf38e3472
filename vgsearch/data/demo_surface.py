"""Painted pixels of one layer, and the light that makes colours of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vgsearch.data.demo_hash import BoolArray, FloatArray


@dataclass(frozen=True)
class Surface:
    """Pixels (h, w) of one layer: what they are made of, how bright, and how much light they give off.

    Attributes:
        material: uint8, a row of the layer's palette.
        shade: float32, factor on the material's reflectance.
        glow: float32, emitted light as a part of the material's colour; zero by day.
    """

    material: npt.NDArray[np.uint8]
    shade: FloatArray
    glow: FloatArray

    def paint(self, where: BoolArray, material: int) -> None:
        """Make pixels of one material; `where` is bool (h, w)."""
        np.putmask(self.material, where, np.uint8(material))


def linear_colours(hex_words: str) -> FloatArray:
    """Turn space-separated RRGGBB words into linear RGB, float32 (n, 3); display values are square roots."""
    rows = [[int(word[k : k + 2], 16) for k in (0, 2, 4)] for word in hex_words.split()]
    return (np.asarray(rows, np.float32) / np.float32(255)) ** 2


def light_up(
    surface: Surface, palette: FloatArray, received: FloatArray, palette_row: npt.NDArray[np.int64] | int = 0
) -> FloatArray:
    """Reflect the received light and add what glows.

    Args:
        surface: pixels (h, w).
        palette: float32 (n, 3), linear RGB reflectance.
        received: float32 (3, 1 or h, 1 or w), linear RGB.
        palette_row: int64 (w,) or a number, where each column's materials start in the palette.

    Returns:
        Linear RGB in planes, float32 (3, h, w).
    """
    row = surface.material + np.asarray(palette_row, np.intp)
    planes = np.ascontiguousarray(palette.T)
    colour = np.empty((3, *row.shape), np.float32)
    for channel in range(3):
        light = received[channel] * surface.shade
        light += surface.glow
        np.multiply(planes[channel].take(row, mode="clip"), light, out=colour[channel])
    return colour
