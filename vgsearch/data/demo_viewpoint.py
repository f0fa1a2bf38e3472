"""Queries of a demo city that see their place from elsewhere: about half of what a photo of it shows."""

from __future__ import annotations

import numpy as np

from vgsearch.data.demo_overlap import shared_views
from vgsearch.data.demo_poses import LANE_M, Pose, new_pose, off_line

_LEAST_SHIFT_M, _MOST_SHIFT_M = 4.0, 12.0
_LEAST_TURN_DEG, _MOST_TURN_DEG = 20.0, 45.0
_LEAST_LANE_M = 0.5
_WANTED_SHARE = 0.5
_DRAWS = 24
_NEAR_M = 25.0


def far_turned_query_poses(database: list[Pose], count: int, rng: np.random.Generator) -> list[Pose]:
    """Stand in the other lane, farther along the street, and look another way.

    Of 24 such poses that is taken whose view comes nearest to sharing half of it with one photo of the
    database: with the one within 25 m that shares most (see `shared_views`). All are within 17 m of a photo.
    """
    chosen = rng.permutation(np.resize(rng.permutation(len(database)), count))
    places = np.array([(pose.east_m, pose.north_m) for pose in database])

    def misses_by(pose: Pose) -> float:
        near = np.flatnonzero(np.hypot(*(places - (pose.east_m, pose.north_m)).T) <= _NEAR_M)
        shares = shared_views(pose, [database[index] for index in near])
        return abs(float(shares.max()) - _WANTED_SHARE)

    return [min((_elsewhere(database[index], rng) for _ in range(_DRAWS)), key=misses_by) for index in chosen]


def _elsewhere(near: Pose, rng: np.random.Generator) -> Pose:
    shift, turn = (
        rng.uniform(least, most) * rng.choice((-1, 1))
        for least, most in ((_LEAST_SHIFT_M, _MOST_SHIFT_M), (_LEAST_TURN_DEG, _MOST_TURN_DEG))
    )
    off_east, off_north = off_line(near.east_m), off_line(near.north_m)
    runs_north = abs(off_east) < abs(off_north)
    lane = -np.copysign(rng.uniform(_LEAST_LANE_M, LANE_M), off_east if runs_north else off_north)
    if runs_north:
        place = near.east_m - off_east + lane, near.north_m + shift
    else:
        place = near.east_m + shift, near.north_m - off_north + lane
    return new_pose(*place, near.heading_deg + turn, rng)
