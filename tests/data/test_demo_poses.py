from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from vgsearch.data.demo_layout import FIRST_STREET_M, PITCH_M, ROAD_HALF_M
from vgsearch.data.demo_poses import Pose, database_poses, query_poses, stray_poses, training_poses

BLOCKS = 5


def on_a_street(pose: Pose, margin_m: float) -> bool:
    lines = FIRST_STREET_M + PITCH_M * np.arange(1, BLOCKS)
    off = min(np.abs(lines - pose.east_m).min(), np.abs(lines - pose.north_m).min())
    inner = lines[0] - 9 <= min(pose.east_m, pose.north_m)
    return bool(off <= ROAD_HALF_M - margin_m and inner and max(pose.east_m, pose.north_m) <= lines[-1] + 9)


def test_training_classes_are_as_many_and_as_full_as_asked() -> None:
    poses = training_poses(BLOCKS, 50, 5, 2, np.random.default_rng(0))
    counts = Counter((pose.east_m // 10, pose.north_m // 10, pose.heading_deg // 30) for pose in poses)
    assert len(counts) == 50
    assert set(counts.values()) == {5}
    assert len({key[:2] for key in counts}) == 25
    assert all(on_a_street(pose, 0.5) for pose in poses)


def test_training_classes_keep_clear_of_their_borders() -> None:
    for pose in training_poses(BLOCKS, 30, 5, 2, np.random.default_rng(1)):
        assert 1 < pose.east_m % 10 < 9
        assert 1 < pose.north_m % 10 < 9
        assert 2.9 < pose.heading_deg % 30 < 27.1


def test_too_many_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        training_poses(3, 10_000, 5, 2, np.random.default_rng(0))


def test_the_database_looks_around_at_spread_out_spots() -> None:
    poses = database_poses(BLOCKS, 60, 4, np.random.default_rng(0))
    spots = np.array([(pose.east_m, pose.north_m) for pose in poses]).reshape(60, 4, 2)
    assert (spots == spots[:, :1]).all()
    headings = np.sort(np.array([pose.heading_deg for pose in poses]).reshape(60, 4), axis=1)
    assert np.diff(headings, axis=1) == pytest.approx(90, abs=0.02)
    assert all(on_a_street(pose, 2) for pose in poses)
    nearest = np.hypot(*np.moveaxis(spots[:, None, 0] - spots[None, :, 0], 2, 0)) + 1e9 * np.eye(60)
    assert np.median(nearest.min(axis=1)) > 10


def test_queries_stand_near_the_database_but_never_on_it() -> None:
    database = database_poses(BLOCKS, 60, 4, np.random.default_rng(0))
    queries = query_poses(database, 240, np.random.default_rng(1))
    place = np.array([(pose.east_m, pose.north_m) for pose in database])
    seen = Counter()
    for query in queries:
        apart = np.hypot(*(place - (query.east_m, query.north_m)).T)
        turned = [
            abs((query.heading_deg - pose.heading_deg + 180) % 360 - 180)
            for pose, metres in zip(database, apart, strict=True)
            if metres < 10
        ]
        assert min(turned) <= 14.01
        assert apart.min() > 0
        assert on_a_street(query, 2)
        seen[query] += 1
    assert max(seen.values()) == 1


def test_strays_are_spread_over_the_streets_and_seeds_decide() -> None:
    poses = stray_poses(BLOCKS, 100, np.random.default_rng(0))
    assert all(on_a_street(pose, 2) for pose in poses)
    assert poses == stray_poses(BLOCKS, 100, np.random.default_rng(0))
    assert len({round(pose.heading_deg / 30) for pose in poses}) > 10
