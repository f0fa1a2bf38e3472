"""Where the cameras of a demo city stand: training cells, database spots, queries near them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vgsearch.data.demo_layout import FIRST_STREET_M, PITCH_M

CELL_M = 10.0
SECTOR_DEG = 30.0
_CELL_MARGIN_M = 1.2
_SECTOR_MARGIN_DEG = 3.0
LANE_M = 2.2
_QUERY_SHIFT_M = 8.0
_QUERY_TURN_DEG = 14.0
_LEAST_PITCH_TAN, _MOST_PITCH_TAN = 0.13, 0.25
_LEAST_VIEW_DEG, _MOST_VIEW_DEG = 70.0, 80.0

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Pose:
    """Where a camera stands and looks: metres in the city's frame, degrees clockwise from north.

    Coordinates are whole centimetres and headings whole hundredths of a degree, as a file name holds them.
    """

    east_m: float
    north_m: float
    heading_deg: float
    pitch_tan: float
    view_deg: float


def training_poses(
    blocks_across: int, classes: int, photos_each: int, headings_per_cell: int, rng: np.random.Generator
) -> list[Pose]:
    """Stand in 10 m cells and look into 30 degree sectors: exactly `classes` of them, equally often.

    Cells lie on a grid of `CELL_M` and sectors on multiples of `SECTOR_DEG`, as CosPlace's do; every pose
    keeps clear of their borders.

    Raises:
        ValueError: the inner streets have too few cells.
    """
    cells = _street_cells(blocks_across)
    order = rng.permutation(len(cells))
    if classes > headings_per_cell * len(cells):
        raise ValueError(
            f"{classes} classes do not fit into {len(cells)} cells x {headings_per_cell} headings"
        )
    poses = []
    for number in range(classes):
        if number % headings_per_cell == 0:
            sectors = rng.permutation(int(360 / SECTOR_DEG))
        corner = cells[order[number // headings_per_cell]]
        for _ in range(photos_each):
            east, north = corner + rng.uniform(_CELL_MARGIN_M, CELL_M - _CELL_MARGIN_M, 2)
            turn = rng.uniform(_SECTOR_MARGIN_DEG, SECTOR_DEG - _SECTOR_MARGIN_DEG)
            poses.append(new_pose(east, north, sectors[number % headings_per_cell] * SECTOR_DEG + turn, rng))
    return poses


def database_poses(blocks_across: int, spots: int, headings: int, rng: np.random.Generator) -> list[Pose]:
    """Stand at evenly spaced spots along the inner streets and look around in equal turns."""
    length_m = _street_length(blocks_across)
    poses = []
    for spot in range(spots):
        along = (spot + rng.uniform(0.3, 0.7)) * length_m / spots
        east, north = _on_street(blocks_across, along, rng.uniform(-LANE_M, LANE_M))
        first = rng.uniform(0, 360)
        poses += [new_pose(east, north, first + 360 / headings * turn, rng) for turn in range(headings)]
    return poses


def query_poses(database: list[Pose], count: int, rng: np.random.Generator) -> list[Pose]:
    """Stand a few metres from photos of the database and look roughly the same way."""
    chosen = rng.permutation(np.resize(rng.permutation(len(database)), count))
    poses = []
    for near in (database[index] for index in chosen):
        shift = rng.uniform(-_QUERY_SHIFT_M, _QUERY_SHIFT_M)
        lane = rng.uniform(-LANE_M, LANE_M)
        off_east, off_north = (abs(off_line(value)) for value in (near.east_m, near.north_m))
        if off_east < off_north:
            east, north = near.east_m - off_line(near.east_m) + lane, near.north_m + shift
        else:
            east, north = near.east_m + shift, near.north_m - off_line(near.north_m) + lane
        turn = rng.uniform(-_QUERY_TURN_DEG, _QUERY_TURN_DEG)
        poses.append(new_pose(east, north, near.heading_deg + turn, rng))
    return poses


def stray_poses(blocks_across: int, count: int, rng: np.random.Generator) -> list[Pose]:
    """Stand anywhere on the inner streets and look anywhere."""
    length_m = _street_length(blocks_across)
    return [
        new_pose(
            *_on_street(blocks_across, rng.uniform(0, length_m), rng.uniform(-LANE_M, LANE_M)),
            rng.uniform(0, 360),
            rng,
        )
        for _ in range(count)
    ]


def new_pose(east: float, north: float, heading_deg: float, rng: np.random.Generator) -> Pose:
    """Put a camera of random pitch and angle of view somewhere; headings are taken modulo 360 degrees."""
    return Pose(
        round(float(east), 2),
        round(float(north), 2),
        round(float(heading_deg) % 360, 2) % 360,
        float(rng.uniform(_LEAST_PITCH_TAN, _MOST_PITCH_TAN)),
        float(rng.uniform(_LEAST_VIEW_DEG, _MOST_VIEW_DEG)),
    )


def _street_length(blocks_across: int) -> float:
    """Metres of inner streets: both directions, without the outermost ring of blocks."""
    return 2 * (blocks_across - 1) * (blocks_across - 2) * PITCH_M


def _on_street(blocks_across: int, along_m: float, lane_m: float) -> tuple[float, float]:
    """The point `along_m` into the chain of all inner streets, `lane_m` beside the centre line."""
    each = (blocks_across - 2) * PITCH_M
    street = min(int(along_m / each), 2 * (blocks_across - 1) - 1)
    forward = FIRST_STREET_M + PITCH_M + along_m - street * each
    line = FIRST_STREET_M + PITCH_M * (1 + street // 2) + lane_m
    return (line, forward) if street % 2 else (forward, line)


def off_line(metres: float) -> float:
    """Signed distance to the nearest centre line."""
    return (metres - FIRST_STREET_M + PITCH_M / 2) % PITCH_M - PITCH_M / 2


def _street_cells(blocks_across: int) -> Floats:
    """South-west corners of the 10 m cells that inner streets run through, float64 (n, 2), each once."""
    lines = [FIRST_STREET_M + PITCH_M * (1 + k) - CELL_M / 2 for k in range(blocks_across - 1)]
    along = np.arange(lines[0], lines[-1] + 1, CELL_M)
    corners = {(line, float(step)) for line in lines for step in along}
    corners |= {(float(step), line) for line in lines for step in along}
    return np.array(sorted(corners))
