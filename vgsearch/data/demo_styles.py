"""How each building of a demo city looks: proportions, flags, and one colour for each material."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from vgsearch.data.demo_hash import BoolArray, FloatArray
from vgsearch.data.demo_layout import CityLayout
from vgsearch.data.demo_surface import linear_colours


class Material(IntEnum):
    """What a facade pixel is made of; the column of a building's palette."""

    WALL = 0
    TRIM = 1
    GLASS = 2
    CURTAIN = 3
    ACCENT = 4
    BASE = 5
    ROOF = 6
    RAIL = 7
    DOOR = 8
    INK = 9
    SIGN_A = 10
    SIGN_B = 11
    SIGN_C = 12
    AWNING = 13
    LIT_WARM = 14
    LIT_COOL = 15


_WALLS = (
    "e9dcc0 d9b48f c98b6b a5523f 8c4a3c b9a58c d8d3c8 9fb0a3 "
    "c7cfb4 a9bccb e6c98a d9a6a0 bfb3c4 8f8a84 efe8dc b7623f"
)
_TRIMS = "f4efe4 e8e2d2 6b5648 dcd6c8 4b5157 fbf7ee"
_ACCENTS = "2f5d50 7b2d26 274c77 5b4636 8a6d3b 1f2f3a b5523b 5f7a8c"
_SIGNS = "c8102e 005eb8 00843d f2a900 5b2c6f 1b1b1b e87722 00a3a1 e4e0d5 8c1d40"
_ROOFS = "4a4e57 5d4a44 6a3d33 3f464d"


@dataclass(frozen=True)
class BuildingStyles:
    """One row for each building of a layout; lengths in metres, float32 (b,) unless said otherwise.

    Attributes:
        height_m: height of the top of the parapet.
        ground_m: height of the ground floor.
        floor_m: height of each storey above it.
        storeys: float32, storeys above the ground floor.
        bay_m: wished distance between windows.
        window_half_m: half of a window's width.
        sill_m: window's lower edge above its floor.
        window_top_m: window's upper edge above its floor.
        arch_m: how far the upper corners of a window are lowered.
        shop, shutters, balconies, courses, mansard, brick, mural: bool (b,).
        palette: float32 (b, len(Material), 3), linear RGB reflectance.
    """

    height_m: FloatArray
    ground_m: FloatArray
    floor_m: FloatArray
    storeys: FloatArray
    bay_m: FloatArray
    window_half_m: FloatArray
    sill_m: FloatArray
    window_top_m: FloatArray
    arch_m: FloatArray
    shop: BoolArray
    shutters: BoolArray
    balconies: BoolArray
    courses: BoolArray
    mansard: BoolArray
    brick: BoolArray
    mural: BoolArray
    palette: FloatArray


def draw_styles(layout: CityLayout) -> BuildingStyles:
    """Draw the looks of every building from the layout's seed."""
    rng = np.random.default_rng(np.random.SeedSequence([layout.seed, 2]))
    count = len(layout.boxes_m)

    def between(low: float, high: float) -> FloatArray:
        return rng.uniform(low, high, count).astype(np.float32)

    def share(part: float) -> BoolArray:
        return rng.random(count) < part

    office = share(0.16) | (layout.storeys >= 8)
    floor, ground, bay = between(2.9, 3.8), between(3.7, 4.6), between(2.3, 4.0)
    storeys = layout.storeys.astype(np.float32)
    half = np.where(office, bay / 2 - 0.15, np.minimum(bay * between(0.17, 0.30), bay / 2 - 0.3))
    sill = np.where(office, 0.35, between(0.55, 1.0))
    top = np.where(office, floor - 0.3, sill + (floor - sill) * between(0.62, 0.85))
    return BuildingStyles(
        height_m=(ground + floor * storeys + between(0.7, 1.3)).astype(np.float32),
        ground_m=ground,
        floor_m=floor,
        storeys=storeys,
        bay_m=bay,
        window_half_m=half.astype(np.float32),
        sill_m=sill.astype(np.float32),
        window_top_m=top.astype(np.float32),
        arch_m=np.where(share(0.2) & ~office, 0.45, 0.0).astype(np.float32),
        shop=share(0.55),
        shutters=share(0.25) & ~office,
        balconies=share(0.3) & ~office,
        courses=share(0.4),
        mansard=share(0.25) & ~office & (storeys >= 2),
        brick=share(0.35) & ~office,
        mural=share(0.2),
        palette=_draw_palette(rng, count),
    )


def _draw_palette(rng: np.random.Generator, count: int) -> FloatArray:
    palette = np.zeros((count, len(Material), 3), np.float32)

    def fill(material: Material, words: str, spread: float = 0.12) -> None:
        table = linear_colours(words)
        tint: npt.NDArray[np.float64] = rng.uniform(1 - spread, 1 + spread, (count, 3))
        brightness = rng.uniform(1 - spread, 1 + spread, (count, 1))
        palette[:, material] = np.clip(table[rng.integers(0, len(table), count)] * tint * brightness, 0, 1)

    fill(Material.WALL, _WALLS)
    fill(Material.TRIM, _TRIMS)
    fill(Material.GLASS, "39444f 2d3a45 4a5a66 33403f")
    fill(Material.CURTAIN, "cfc8ba b9b4ac d8cfc4 a7b0b5")
    fill(Material.ACCENT, _ACCENTS)
    fill(Material.BASE, "8b8680 a39a8c 6f6a66 5d5048")
    fill(Material.ROOF, _ROOFS)
    fill(Material.RAIL, "2b2d2f 3a3a38 4d5a55")
    fill(Material.DOOR, _ACCENTS)
    fill(Material.INK, "f7f3ea fdf6d8 fafafa")
    fill(Material.SIGN_A, _SIGNS)
    fill(Material.SIGN_B, _SIGNS)
    fill(Material.SIGN_C, _SIGNS)
    fill(Material.AWNING, _SIGNS)
    fill(Material.LIT_WARM, "ffd79a ffc778 ffe0b0", 0.05)
    fill(Material.LIT_COOL, "dfe9f5 f3f0e2", 0.05)
    return palette
