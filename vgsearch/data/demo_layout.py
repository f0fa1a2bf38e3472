"""The plan of a demo city: a street grid, lots with buildings, parks, trees, lamps and places for cars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vgsearch.data.demo_hash import BoolArray, FloatArray

PITCH_M = 70.0
"""Between two centre lines: an odd number of 10 m cells, so that streets fall into all groups."""
FIRST_STREET_M = 5.0
"""The first centre line, in the middle of a 10 m cell."""
ROAD_HALF_M = 5.0
SIDEWALK_M = 3.0
LAMP_FIRST_M = 15.6
"""From a centre line to the first lamp beyond it; two more follow in the block, `LAMP_SPACING_M` apart."""
LAMP_SPACING_M = 22.8
WEST, SOUTH, EAST, NORTH = range(4)
TREE, LAMP, PERSON = range(3)

_PARK_SHARE = 0.1
_TOWER_SHARE = 0.06
_BLOCK_EDGE_M = ROAD_HALF_M + SIDEWALK_M


@dataclass(frozen=True)
class Posts:
    """Upright round things: trees and lamps, and the people of one photo. All arrays have length p.

    Attributes:
        centre_m: float32 (p, 2), east and north in the city's own frame.
        kind: int32, `TREE`, `LAMP` or `PERSON`.
        radius_m: float32, half of the width that can cover a pixel.
        height_m: float32.
        key: int32, seed of the looks.
    """

    centre_m: FloatArray
    kind: npt.NDArray[np.int32]
    radius_m: FloatArray
    height_m: FloatArray
    key: npt.NDArray[np.int32]


@dataclass(frozen=True)
class CityLayout:
    """A city in its own frame: metres east and north of its south-west corner.

    Attributes:
        seed: what everything here was drawn from.
        blocks_across: blocks along each axis; streets run at `FIRST_STREET_M + k * PITCH_M`.
        boxes_m: float32 (b, 4), each building's west, south, east and north wall.
        storeys: int32 (b,).
        fronts_street: bool (b, 4), whether the west, south, east or north wall faces a street or park.
        parks: bool (blocks_across, blocks_across), by east and north block index.
        posts: trees and lamps.
        kerb_slots_m: float32 (s, 3), east, north and 1 where the street runs east-west: where cars park.
    """

    seed: int
    blocks_across: int
    boxes_m: FloatArray
    storeys: npt.NDArray[np.int32]
    fronts_street: BoolArray
    parks: BoolArray
    posts: Posts
    kerb_slots_m: FloatArray


def draw_layout(seed: int, blocks_across: int) -> CityLayout:
    """Draw the city of `seed`; the outermost ring of blocks is backdrop, as cameras stay within."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 1]))
    parks = rng.random((blocks_across, blocks_across)) < _PARK_SHARE
    parks[[0, -1], :] = False
    parks[:, [0, -1]] = False
    boxes, storeys, fronts = [], [], []
    for i in range(blocks_across):
        for j in range(blocks_across):
            west, south = (FIRST_STREET_M + PITCH_M * k + _BLOCK_EDGE_M for k in (i, j))
            side = PITCH_M - 2 * _BLOCK_EDGE_M
            block = (west, south, west + side, south + side)
            for lot in [] if parks[i, j] else _split(block, rng):
                front = [abs(lot[k] - block[k]) < 1e-6 for k in range(4)]
                tall = rng.random() < _TOWER_SHARE
                boxes.append(lot)
                fronts.append(front)
                storeys.append(rng.integers(8, 13) if tall else rng.integers(1, 7) if any(front) else 2)
    return CityLayout(
        seed=seed,
        blocks_across=blocks_across,
        boxes_m=np.asarray(boxes, np.float32),
        storeys=np.asarray(storeys, np.int32),
        fronts_street=np.asarray(fronts, np.bool_),
        parks=parks,
        posts=_draw_posts(parks, rng),
        kerb_slots_m=_kerb_slots(blocks_across),
    )


def _split(
    lot: tuple[float, float, float, float], rng: np.random.Generator
) -> list[tuple[float, float, float, float]]:
    """Cut a rectangle across its longer side until its parts are house-sized."""
    west, south, east, north = lot
    width, depth = east - west, north - south
    if max(width, depth) < rng.uniform(17, 27):
        return [lot]
    cut = rng.uniform(0.36, 0.64)
    if width >= depth:
        middle = west + cut * width
        return _split((west, south, middle, north), rng) + _split((middle, south, east, north), rng)
    middle = south + cut * depth
    return _split((west, south, east, middle), rng) + _split((west, middle, east, north), rng)


def _draw_posts(parks: BoolArray, rng: np.random.Generator) -> Posts:
    """Three lamps and trees in some of the places between, along every block edge; groves in parks."""
    blocks_across = len(parks)
    along_m = LAMP_FIRST_M - ROAD_HALF_M + LAMP_SPACING_M / 3 * np.arange(-1, 7)
    rows: list[tuple[float, float, int]] = []
    for i in range(blocks_across):
        for j in range(blocks_across):
            west, south = (FIRST_STREET_M + PITCH_M * k + ROAD_HALF_M for k in (i, j))
            far = PITCH_M - 2 * ROAD_HALF_M - 0.7
            leafy = rng.random(4) < 0.55
            for side in range(4):
                for position, along in enumerate(along_m):
                    kind = LAMP if position % 3 == 1 else TREE
                    if kind == TREE and not (leafy[side] and rng.random() < 0.6):
                        continue
                    across = 0.7 if side in (WEST, SOUTH) else far
                    east, north = (across, along) if side in (WEST, EAST) else (along, across)
                    rows.append((west + east, south + north, kind))
            for east, north in rng.uniform(6, far - 6, (26, 2)) if parks[i, j] else ():
                rows.append((west + east, south + north, TREE))
    table = np.asarray(rows)
    kinds = table[:, 2].astype(np.int32)
    size = rng.uniform(0.75, 1.25, len(table))
    return Posts(
        centre_m=table[:, :2].astype(np.float32),
        kind=kinds,
        radius_m=np.where(kinds == TREE, 2.3 * size, 0.3).astype(np.float32),
        height_m=np.where(kinds == TREE, 6.6 * size, 5.4).astype(np.float32),
        key=rng.integers(0, 2**31 - 1, len(table)).astype(np.int32),
    )


def _kerb_slots(blocks_across: int) -> FloatArray:
    """A parking place every 6 m along both kerbs of every street, clear of the crossings."""
    slots = []
    for street in range(blocks_across + 1):
        line = FIRST_STREET_M + PITCH_M * street
        for block in range(blocks_across):
            start = FIRST_STREET_M + PITCH_M * block + ROAD_HALF_M + 6.0
            for along in np.arange(start, start + PITCH_M - 2 * ROAD_HALF_M - 10.0, 6.0):
                for kerb in (-ROAD_HALF_M + 1.1, ROAD_HALF_M - 1.1):
                    slots.append((along, line + kerb, 1.0))
                    slots.append((line + kerb, along, 0.0))
    return np.asarray(slots, np.float32)
