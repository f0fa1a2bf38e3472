"""How much two cameras of a demo city have in common, on the walls of an ideal street."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vgsearch.data.demo_layout import ROAD_HALF_M, SIDEWALK_M
from vgsearch.data.demo_poses import Pose, off_line

_WALL_M = ROAD_HALF_M + SIDEWALK_M
_COLUMNS = 48
_SIGHT_M = 100.0

Floats = npt.NDArray[np.float64]


def shared_views(pose: Pose, others: Sequence[Pose]) -> Floats:
    """The share of the columns of a photo that show a point which another photo shows too.

    The street is taken as two endless walls along which it runs, without crossings, trees and cars, so that
    nothing hides anything: what is said is where the cameras point, not what stands between.

    Args:
        pose: Of the photo, on a street.
        others: p further ones.

    Returns:
        float64 (p,) in [0, 1].
    """
    origin = np.array([pose.east_m, pose.north_m])
    points = origin + _to_the_walls(pose)[:, None] * _directions(pose)
    relative = points - np.array([(other.east_m, other.north_m) for other in others])[:, None]
    headings = np.radians([other.heading_deg for other in others])
    widest = np.tan(np.radians([other.view_deg for other in others]) / 2)
    sine, cosine = np.sin(headings)[:, None], np.cos(headings)[:, None]
    forward = relative[..., 0] * sine + relative[..., 1] * cosine
    right = relative[..., 0] * cosine - relative[..., 1] * sine
    shared: Floats = (np.abs(right) <= forward * widest[:, None]).mean(axis=1)
    return shared


def _directions(pose: Pose) -> Floats:
    """Where each column looks, east and north for each metre of depth, float64 (_COLUMNS, 2)."""
    heading = np.radians(pose.heading_deg)
    across = np.linspace(-1, 1, 2 * _COLUMNS + 1)[1::2] * np.tan(np.radians(pose.view_deg) / 2)
    forward, right = (np.sin(heading), np.cos(heading)), (np.cos(heading), -np.sin(heading))
    directions: Floats = np.array(forward) + across[:, None] * np.array(right)
    return directions


def _to_the_walls(pose: Pose) -> Floats:
    """Depth at which each column meets a wall, at most `_SIGHT_M`, float64 (_COLUMNS,)."""
    off = [off_line(metres) for metres in (pose.east_m, pose.north_m)]
    across = int(abs(off[1]) < abs(off[0]))
    speed = _directions(pose)[:, across]
    distance_m = np.where(speed > 0, _WALL_M - off[across], _WALL_M + off[across])
    depth: Floats = distance_m / np.maximum(np.abs(speed), distance_m / _SIGHT_M)
    return depth
