from __future__ import annotations

import hashlib

import numpy as np
import pytest

from vgsearch.config.search import DemoCityConfig
from vgsearch.data.demo_layout import FIRST_STREET_M, PITCH_M, ROAD_HALF_M, CityLayout, draw_layout
from vgsearch.data.demo_plan import SIZES, VAL, layout_seed, plan_photos
from vgsearch.data.demo_poses import Pose
from vgsearch.data.demo_rays import Rays, cast_boxes

STRONG = DemoCityConfig(viewpoint="strong")
COLUMNS = 48


def cast(pose: Pose, layout: CityLayout, right: np.ndarray) -> np.ndarray:
    """Depth of the first real wall in columns of given tangents."""
    heading = np.radians(pose.heading_deg)
    direction = np.array([np.sin(heading), np.cos(heading)]) + right[:, None] * [
        np.cos(heading),
        -np.sin(heading),
    ]
    rays = Rays(
        np.array([pose.east_m, pose.north_m], np.float32),
        direction.astype(np.float32),
        right.astype(np.float32),
    )
    (hits,) = cast_boxes(rays, layout.boxes_m, np.full(len(layout.boxes_m), 5, np.float32), 1)
    return hits.depth_m


def shared(pose: Pose, other: Pose, layout: CityLayout) -> float:
    """Share of columns whose wall the other photo shows too: in its view, and nothing before it."""
    widest = np.tan(np.radians(pose.view_deg) / 2)
    right = (np.arange(COLUMNS) + 0.5) / COLUMNS * 2 * widest - widest
    depth = cast(pose, layout, right)
    right, depth = right[np.isfinite(depth)], depth[np.isfinite(depth)]
    forward = np.radians(pose.heading_deg)
    east = pose.east_m + depth * (np.sin(forward) + right * np.cos(forward)) - other.east_m
    north = pose.north_m + depth * (np.cos(forward) - right * np.sin(forward)) - other.north_m
    forward = np.radians(other.heading_deg)
    ahead = east * np.sin(forward) + north * np.cos(forward)
    beside = east * np.cos(forward) - north * np.sin(forward)
    inside = (ahead > 0) & (np.abs(beside) <= ahead * np.tan(np.radians(other.view_deg) / 2))
    if not inside.any():
        return 0.0
    met = cast(other, layout, beside[inside] / ahead[inside])
    return float((np.abs(met - ahead[inside]) < 0.5).sum() / COLUMNS)


def most_shared(config: DemoCityConfig) -> np.ndarray:
    """For each query of the val city, the most that it shares with a photo within 25 m of it."""
    photos = [photo for photo in plan_photos(config) if photo.city == VAL and not photo.night]
    layout = draw_layout(layout_seed(config, VAL), SIZES[config.size].blocks_across)
    database = [photo.pose for photo in photos if "/database" in photo.path]
    best = []
    for query in (photo.pose for photo in photos if "/queries" in photo.path):
        near = [p for p in database if np.hypot(p.east_m - query.east_m, p.north_m - query.north_m) <= 25]
        best.append(max(shared(query, pose, layout) for pose in near))
    return np.array(best)


def test_queries_share_about_half_of_their_view_with_a_photo_near_them() -> None:
    strong, usual = most_shared(STRONG), most_shared(DemoCityConfig())
    assert np.median(strong) == pytest.approx(0.5, abs=0.05)
    assert np.mean((strong > 0.3) & (strong < 0.7)) > 0.85
    assert np.median(usual) > np.median(strong) + 0.2


def test_only_the_queries_move() -> None:
    usual, strong = plan_photos(DemoCityConfig()), plan_photos(STRONG)
    for before, after in zip(usual, strong, strict=True):
        assert (before == after) == ("/queries" not in before.path)
        assert before.seed == after.seed


def test_queries_stand_on_their_street_within_17_m_of_a_photo_in_the_other_lane() -> None:
    photos = [photo for photo in plan_photos(STRONG) if photo.path.startswith("test_day")]
    database = [photo.pose for photo in photos if "/database" in photo.path]
    lines = FIRST_STREET_M + PITCH_M * np.arange(1, SIZES["small"].blocks_across)
    for pose in (photo.pose for photo in photos if "/queries" in photo.path):
        off = np.array([[at - lines[np.abs(lines - at).argmin()] for at in (pose.east_m, pose.north_m)]])
        assert np.abs(off).min() <= ROAD_HALF_M - 2
        assert min(np.hypot(p.east_m - pose.east_m, p.north_m - pose.north_m) for p in database) < 17


def test_the_usual_city_is_what_it_always_was() -> None:
    """The names hold where every camera stands and looks, to the centimetre."""
    names = "\n".join(photo.path for photo in plan_photos(DemoCityConfig(size="tiny")))
    assert hashlib.sha256(names.encode()).hexdigest()[:16] == "107adc08ff8c289a"
    assert DemoCityConfig().model_dump() == {
        "folder": "demo_city",
        "image_px": 128,
        "size": "small",
        "seed": 0,
    }
    assert DemoCityConfig.model_validate_json(STRONG.model_dump_json()) == STRONG
