"""A building's front: walls, windows, shops and signs, each a function of (building, facade, cell)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vgsearch.data.demo_hash import BoolArray, FloatArray, HashArray, floor_int, fraction, hash_keys, unit
from vgsearch.data.demo_layout import EAST, NORTH, SOUTH, WEST, CityLayout
from vgsearch.data.demo_rays import ColumnHits
from vgsearch.data.demo_styles import BuildingStyles, Material
from vgsearch.data.demo_surface import Surface

LIT_WINDOW_SHARE = 0.33
_GLYPH_M = 0.46
_FRAME_M = 0.14


@dataclass(frozen=True)
class Facade:
    """One layer of walls as seen by w columns: every array is float32, int or bool of shape (w,).

    Attributes:
        style: row of the building's style.
        key: uint32, seed of this building's front (its index mixed with its side and the city).
        along_m: distance from the front's left edge.
        bay_m: width of a bay, so that a whole number of them fills the front.
        bay: int32, the bay a column falls into.
        off_centre_m: distance to the middle of that bay.
        open: whether the front faces a street; other walls have no windows.
    """

    style: npt.NDArray[np.int64]
    key: HashArray
    along_m: FloatArray
    bay_m: FloatArray
    bay: npt.NDArray[np.int32]
    off_centre_m: FloatArray
    open: BoolArray


def facade_columns(layout: CityLayout, styles: BuildingStyles, hits: ColumnHits) -> Facade:
    """Look up, for each column, the front it meets and where on it."""
    building = np.maximum(hits.index, 0)
    lot = layout.boxes_m[building]
    runs_north = (hits.side == WEST) | (hits.side == EAST)
    start = np.where(runs_north, lot[:, SOUTH], lot[:, WEST])
    width = np.where(runs_north, lot[:, NORTH] - lot[:, SOUTH], lot[:, EAST] - lot[:, WEST])
    along = np.clip(hits.along_m - start, 0, width - np.float32(1e-3))
    bay_m = (width / np.maximum(np.round(width / styles.bay_m[building]), 1)).astype(np.float32)
    bay = floor_int(along / bay_m)
    return Facade(
        style=building,
        key=hash_keys(building, hits.side, layout.seed),
        along_m=along,
        bay_m=bay_m,
        bay=bay,
        off_centre_m=np.abs(along - (bay.astype(np.float32) + np.float32(0.5)) * bay_m),
        open=layout.fronts_street[building, hits.side],
    )


def draw_facade(front: Facade, styles: BuildingStyles, height_m: FloatArray, evening: int | None) -> Surface:
    """Decide the surface of every pixel.

    Args:
        front: w columns.
        styles: the city's buildings.
        height_m: float32 (h, w), height above the ground of what each pixel would see on the wall.
        evening: seed of which windows are lit at night; None by day.
    """
    row = front.style
    weathering = unit(hash_keys(front.key, floor_int(front.along_m * 1.3), floor_int(height_m * 1.1)))
    courses = (fraction(height_m * 1.6) < 0.5) * (np.float32(0.12) * styles.brick[row])
    surface = Surface(
        material=np.full(height_m.shape, Material.WALL, np.uint8),
        shade=np.float32(0.94) + np.float32(0.12) * weathering - courses,
        glow=np.zeros(height_m.shape, np.float32),
    )
    above = (height_m - styles.ground_m[row]) / styles.floor_m[row]
    storey = np.floor(above)
    above_floor_m = (above - storey) * styles.floor_m[row]
    upper = (storey >= 0) & (storey < styles.storeys[row])

    surface.paint(styles.mansard[row] & (storey == styles.storeys[row] - 1), Material.ROOF)
    surface.paint(styles.courses[row] & upper & (above_floor_m < 0.2), Material.TRIM)
    painted = _draw_mural(surface, front, styles, storey, above)
    _draw_windows(surface, front, styles, upper & front.open & ~painted, storey, above_floor_m, evening)
    _draw_ground_floor(surface, front, styles, height_m, evening)

    below_top_m = styles.height_m[row] - height_m
    surface.paint(below_top_m < 0.5, Material.TRIM)
    surface.shade[(below_top_m < 0.9) & (below_top_m >= 0.5)] *= np.float32(0.7)
    return surface


def _draw_mural(
    surface: Surface, front: Facade, styles: BuildingStyles, storey: FloatArray, above: FloatArray
) -> BoolArray:
    """Paint two bays over two storeys of some buildings in large hashed patches; returns where."""
    first = floor_int(unit(front.key, 3) * 3)
    wanted = styles.mural[front.style] & (~front.open | (unit(front.key, 2) < 0.4))
    painted: BoolArray = (
        wanted & (front.bay >= first) & (front.bay < first + 2) & (storey >= 0) & (storey < 2)
    )
    patch = hash_keys(front.key, floor_int(front.along_m * 0.8), floor_int(above * 3), 77)
    colours = np.array([Material.SIGN_A, Material.SIGN_B, Material.ACCENT, Material.INK], np.uint8)
    np.copyto(surface.material, colours[patch & np.uint32(3)], where=painted)
    return painted


def _draw_windows(
    surface: Surface,
    front: Facade,
    styles: BuildingStyles,
    upper: BoolArray,
    storey: FloatArray,
    above_floor_m: FloatArray,
    evening: int | None,
) -> None:
    """Windows with frames, curtains, shutters and balconies; at night a third of the panes is lit."""
    row, off_m = front.style, front.off_centre_m
    cell = hash_keys(front.key, front.bay, storey.astype(np.int32))
    half_m = styles.window_half_m[row]
    top_m = styles.window_top_m[row] - styles.arch_m[row] * (off_m / half_m) ** 2
    sill_m = styles.sill_m[row]
    tall = upper & (above_floor_m > sill_m - _FRAME_M) & (above_floor_m < top_m + _FRAME_M)
    surface.paint(tall & (off_m < half_m + _FRAME_M), Material.TRIM)
    shuttered = styles.shutters[row] & (off_m >= half_m + _FRAME_M) & (off_m < half_m * 1.75 + _FRAME_M)
    surface.paint(tall & shuttered, Material.ACCENT)

    pane = upper & (above_floor_m > sill_m) & (above_floor_m < top_m) & (off_m < half_m) & (off_m > 0.04)
    drawn = unit(cell)
    curtain = (drawn < 0.25) | ((drawn < 0.42) & (above_floor_m > (sill_m + top_m) / 2))
    glass = np.where(curtain, np.uint8(Material.CURTAIN), np.uint8(Material.GLASS))
    if evening is not None:
        tonight = hash_keys(cell, evening)
        lit = unit(tonight, 1) < LIT_WINDOW_SHARE
        lamp = np.where(unit(tonight, 2) < 0.75, np.uint8(Material.LIT_WARM), np.uint8(Material.LIT_COOL))
        glass = np.where(lit, lamp, glass)
        brightness = np.float32(0.35) + np.float32(0.6) * unit(tonight, 3)
        np.copyto(surface.glow, np.where(curtain, 0.6 * brightness, brightness), where=pane & lit)
    np.copyto(surface.material, glass, where=pane)
    reflection = (np.float32(0.65) + np.float32(0.7) * unit(cell, 1)) * (
        np.float32(0.8) + np.float32(0.15) * above_floor_m
    )
    np.copyto(surface.shade, reflection, where=pane)

    column = unit(hash_keys(front.key, front.bay, 5))
    balcony = styles.balconies[row] & (column < 0.5) & (off_m < half_m + 0.5) & upper & (above_floor_m < 0.95)
    bars = (above_floor_m > 0.85) | (above_floor_m < 0.14) | (fraction(front.along_m * 4) < 0.4)
    surface.paint(balcony & bars, Material.RAIL)


def _draw_ground_floor(
    surface: Surface, front: Facade, styles: BuildingStyles, height_m: FloatArray, evening: int | None
) -> None:
    """Shops with glazing, sign and awning, three bays each; or a plinth, windows and a front door."""
    row, off_m = front.style, front.off_centre_m
    ground_m = styles.ground_m[row]
    below_ceiling_m = ground_m - height_m
    ground = (below_ceiling_m > 0) & front.open
    shop = front.bay // 3
    shop_key = hash_keys(front.key, shop, 11)
    is_shop = styles.shop[row] & ground
    open_late = unit(shop_key, 3) < 0.6 if evening is not None else np.zeros_like(front.open)

    home = ground & ~styles.shop[row]
    surface.paint(home & (height_m < 0.8), Material.BASE)
    half_m = styles.window_half_m[row]
    light = home & (height_m > 1.3) & (below_ceiling_m > 0.7)
    surface.paint(light & (off_m < half_m + _FRAME_M), Material.TRIM)
    surface.paint(light & (off_m < half_m) & (off_m > 0.04), Material.GLASS)
    at_door = front.bay == floor_int(unit(front.key) * 4)
    surface.paint(home & at_door & (off_m < 0.85) & (height_m < 2.75), Material.TRIM)
    surface.paint(home & at_door & (off_m < 0.65) & (height_m < 2.5), Material.DOOR)

    surface.paint(is_shop & (height_m < 0.45), Material.BASE)
    glazing = is_shop & (height_m >= 0.45) & (below_ceiling_m > 1.1) & (off_m < front.bay_m / 2 - 0.12)
    goods = hash_keys(shop_key, floor_int(front.along_m * 1.9), floor_int(height_m * 2.1))
    wares = np.array([Material.GLASS] * 5 + [Material.CURTAIN, Material.SIGN_B, Material.SIGN_C], np.uint8)
    np.copyto(surface.material, wares[goods & np.uint32(7)], where=glazing)
    np.copyto(
        surface.material, np.uint8(Material.LIT_WARM), where=glazing & open_late & (unit(goods, 1) < 0.8)
    )
    np.copyto(surface.glow, np.float32(0.8), where=glazing & open_late)
    entrance = (
        is_shop & (front.bay % 3 == floor_int(unit(shop_key, 1) * 3)) & (off_m < 0.6) & (height_m < 2.4)
    )
    surface.paint(entrance, Material.DOOR)
    surface.glow[entrance] = 0

    has_awning = unit(shop_key, 2) < 0.45
    awning = is_shop & has_awning & (below_ceiling_m < 1.7) & (below_ceiling_m >= 1.0)
    stripe = fraction(front.along_m / np.float32(0.9)) < 0.5
    surface.paint(awning, Material.AWNING)
    surface.paint(awning & stripe, Material.INK)
    surface.glow[awning] = 0
    _draw_sign(
        surface,
        front,
        shop_key,
        is_shop & (below_ceiling_m < 1.0) & (below_ceiling_m > 0.15),
        below_ceiling_m,
    )
    np.copyto(surface.glow, np.float32(0.45), where=open_late & is_shop & (below_ceiling_m < 1.0))


def _draw_sign(
    surface: Surface, front: Facade, shop_key: HashArray, sign: BoolArray, below_ceiling_m: FloatArray
) -> None:
    """A coloured band with a row of letters: 3 x 4 hashed dots each, some of them spaces."""
    colour = np.uint8(Material.SIGN_A) + (shop_key % np.uint32(3)).astype(np.uint8)
    np.copyto(surface.material, colour, where=sign)
    letter = front.along_m / _GLYPH_M
    place = floor_int(letter)
    dot_x = floor_int(fraction(letter) * 4)
    dot_y = floor_int((below_ceiling_m - 0.28) / 0.15)
    glyph = hash_keys(shop_key, place, 3)
    bit = (glyph >> np.clip(dot_y * 3 + dot_x, 0, 11).astype(np.uint32)) & np.uint32(1)
    written = (dot_x < 3) & (dot_y >= 0) & (dot_y < 4) & (unit(glyph, 3) < 0.8)
    surface.paint(sign & written & (bit == 1), Material.INK)
