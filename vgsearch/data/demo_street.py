"""What lies behind the walls and under the wheels: sky, road, pavement and lawn."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from vgsearch.data.demo_hash import FloatArray, floor_int, fraction, hash_keys, unit, value_noise
from vgsearch.data.demo_layout import (
    FIRST_STREET_M,
    LAMP_FIRST_M,
    LAMP_SPACING_M,
    PITCH_M,
    ROAD_HALF_M,
    SIDEWALK_M,
    CityLayout,
)
from vgsearch.data.demo_light import Light
from vgsearch.data.demo_surface import Surface, linear_colours

_ZEBRA_START_M, _ZEBRA_END_M = ROAD_HALF_M + 0.4, ROAD_HALF_M + 3.2


class Ground(IntEnum):
    """What the ground is made of; a row of `GROUND_PALETTE`."""

    ASPHALT = 0
    LINE = 1
    SLAB = 2
    KERB = 3
    GRASS = 4
    PATH = 5


GROUND_PALETTE = linear_colours("5c5d60 d9d4c4 a8a39a c4bfb4 6d8a4a b9a888")


def draw_sky(light: Light, elevation: FloatArray, azimuth: FloatArray) -> FloatArray:
    """Colour the sky.

    Args:
        light: the photo's light.
        elevation: float32 (h, 1), tangent of each row's angle above the horizon, not negative.
        azimuth: float32 (w,), each column's compass angle in radians.

    Returns:
        Linear RGB in planes, float32 (3, h, w).
    """
    height = np.sqrt(np.minimum(elevation, 1.5) / 1.5)
    x, y = azimuth * 3.0, elevation * 5.0
    noise = 0.65 * value_noise(x, y, light.cloud_salt) + 0.35 * value_noise(
        2.7 * x, 2.7 * y, light.cloud_salt + 1
    )
    cover = np.clip((noise - (1 - light.cloud_cover)) * 4, 0, 0.9) * np.minimum(1, 4 * height)
    sky = np.empty((3, *cover.shape), np.float32)
    for channel in range(3):
        base = light.horizon[channel] + height * (light.zenith[channel] - light.horizon[channel])
        sky[channel] = base + cover * (light.cloud[channel] - base)
    return sky


def draw_ground(layout: CityLayout, east_m: FloatArray, north_m: FloatArray) -> Surface:
    """Decide what the ground is at points (h, w) of the city's frame."""
    east, block_east = _in_block(east_m)
    north, block_north = _in_block(north_m)
    line_east, line_north = np.minimum(east, PITCH_M - east), np.minimum(north, PITCH_M - north)
    edge = np.minimum(line_east, line_north)
    road, on_east, on_north = edge < ROAD_HALF_M, line_east < ROAD_HALF_M, line_north < ROAD_HALF_M
    limit = layout.blocks_across - 1
    parks = np.pad(layout.parks, 1)  # no parks beyond the city's edge
    park = parks[np.clip(block_east, -1, limit + 1) + 1, np.clip(block_north, -1, limit + 1) + 1]
    lawn = park & (edge > ROAD_HALF_M + SIDEWALK_M)

    grain = unit(hash_keys(floor_int(east_m * 2.5), floor_int(north_m * 2.5), layout.seed))
    joint = ((_repeat(east, 1.5) < 0.053) | (_repeat(north, 1.5) < 0.053)) & ~road & ~lawn
    surface = Surface(
        material=np.where(road, np.uint8(Ground.ASPHALT), np.uint8(Ground.SLAB)),
        shade=np.float32(0.86) + np.float32(0.2) * grain - np.float32(0.2) * joint,
        glow=np.zeros(road.shape, np.float32),
    )
    dashes = (line_east < 0.14) & (_repeat(north, 6) < 0.5) | (line_north < 0.14) & (_repeat(east, 6) < 0.5)
    surface.paint(dashes & ~(on_east & on_north), Ground.LINE)
    for across, ahead, on_road in ((east, line_north, on_east), (north, line_east, on_north)):
        zebra = on_road & (ahead > _ZEBRA_START_M) & (ahead < _ZEBRA_END_M) & (_repeat(across, 1.2) < 0.5)
        surface.paint(zebra, Ground.LINE)
    surface.paint(~road & (edge < ROAD_HALF_M + 0.25), Ground.KERB)
    surface.paint(lawn, Ground.GRASS)
    surface.paint(lawn & (PITCH_M / 2 - np.maximum(line_east, line_north) < 1.3), Ground.PATH)
    return surface


def lamps_along(along_m: FloatArray) -> FloatArray:
    """How strongly the lamps light a point of a street (its east or north in the city's frame), 0 to 1."""
    in_block, _ = _in_block(along_m)
    half = np.float32(LAMP_SPACING_M / 2)
    turns = (in_block - np.float32(LAMP_FIRST_M) + half) / np.float32(LAMP_SPACING_M)
    off = fraction(turns) * np.float32(LAMP_SPACING_M) - half
    pool: FloatArray = np.exp(-(off**2) * np.float32(1 / 40))
    return pool


def lamps_on_ground(east_m: FloatArray, north_m: FloatArray) -> FloatArray:
    """How strongly the lamps light points of the ground, 0 to 1: pools along both kerbs."""
    east, _ = _in_block(east_m)
    north, _ = _in_block(north_m)
    line_east, line_north = np.minimum(east, PITCH_M - east), np.minimum(north, PITCH_M - north)
    runs_north = line_east < line_north
    from_kerb = np.minimum(line_east, line_north) - np.float32(ROAD_HALF_M)
    across = np.exp(-(from_kerb**2) * np.float32(1 / 30))
    pool: FloatArray = lamps_along(np.where(runs_north, north_m, east_m)) * across
    return pool


def _repeat(metres: FloatArray, period_m: float) -> FloatArray:
    """How far into a period a point is, 0 to 1."""
    return fraction(metres * np.float32(1 / period_m))


def _in_block(metres: FloatArray) -> tuple[FloatArray, npt.NDArray[np.int32]]:
    """Distance from the street's centre line before, and the number of that street's block."""
    from_first = metres - np.float32(FIRST_STREET_M)
    block = floor_int(from_first * np.float32(1 / PITCH_M))
    return from_first - block.astype(np.float32) * np.float32(PITCH_M), block
