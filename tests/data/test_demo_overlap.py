from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgsearch.data.demo_layout import FIRST_STREET_M, PITCH_M
from vgsearch.data.demo_overlap import shared_views
from vgsearch.data.demo_poses import Pose

LINE = FIRST_STREET_M + PITCH_M
COLUMNS = 2_000


def on_street(off: float, along: float, heading: float, view: float = 75.0) -> Pose:
    """On a street that runs north, away from its crossings."""
    return Pose(LINE + off, LINE + 35 + along, heading, 0.2, view)


def bearing_deg(pose: Pose, east: float, north: float) -> float:
    """Clockwise from where the camera looks, -180 to 180."""
    bearing = math.degrees(math.atan2(east - pose.east_m, north - pose.north_m))
    return (bearing - pose.heading_deg + 180) % 360 - 180


def brute_force(pose: Pose, other: Pose) -> float:
    """March along each column by trigonometry: equally spaced on the picture, not in angle."""
    seen = 0
    for column in range(COLUMNS):
        right = (2 * (column + 0.5) / COLUMNS - 1) * math.tan(math.radians(pose.view_deg / 2))
        heading = math.radians(pose.heading_deg) + math.atan(right)
        across = math.sin(heading) * math.sqrt(1 + right * right)
        wall = LINE + math.copysign(8, across)
        depth = min(100, (wall - pose.east_m) / across) if across else 100
        reach = depth * math.sqrt(1 + right * right)
        east, north = pose.east_m + reach * math.sin(heading), pose.north_m + reach * math.cos(heading)
        seen += abs(bearing_deg(other, east, north)) <= other.view_deg / 2
    return seen / COLUMNS


poses = st.builds(on_street, st.floats(-2, 2), st.floats(-12, 12), st.floats(0, 359), st.floats(70, 80))


@given(poses, st.lists(poses, min_size=1, max_size=3))
def test_shares_are_those_of_a_column_by_column_count(pose: Pose, others: list[Pose]) -> None:
    expected = [brute_force(pose, other) for other in others]
    assert shared_views(pose, others) == pytest.approx(np.array(expected), abs=0.05)


def test_turning_on_the_spot_takes_away_what_leaves_the_picture() -> None:
    pose, far = on_street(0, 0, 90), on_street(0, 0, 270)
    assert shared_views(pose, [pose, far]).tolist() == [1, 0]
    half = [on_street(0, 0, 90 + turn) for turn in (-37.5, 37.5)]
    assert shared_views(pose, half) == pytest.approx(0.5, abs=0.02)


def test_streets_that_run_east_are_like_those_that_run_north() -> None:
    pose, other = on_street(1, 3, 40), on_street(-1.5, -4, 75)
    turned = [Pose(p.north_m, p.east_m, 90 - p.heading_deg, p.pitch_tan, p.view_deg) for p in (pose, other)]
    assert shared_views(turned[0], [turned[1]]) == pytest.approx(shared_views(pose, [other]))
