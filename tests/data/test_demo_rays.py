from __future__ import annotations

import math

import numpy as np
import pytest

from vgsearch.data.demo_layout import EAST, NORTH, SOUTH, WEST
from vgsearch.data.demo_rays import Rays, cast_boxes, cast_posts


def make_rays(heading_deg: float, width: int = 40, origin: tuple[float, float] = (0.0, 0.0)) -> Rays:
    heading = math.radians(heading_deg)
    right = np.linspace(-0.8, 0.8, width).astype(np.float32)
    forward = np.array([math.sin(heading), math.cos(heading)])
    sideways = np.array([math.cos(heading), -math.sin(heading)])
    direction = (forward + right[:, None] * sideways).astype(np.float32)
    return Rays(np.array(origin, np.float32), direction, right)


def march(direction: np.ndarray, boxes: np.ndarray) -> tuple[int, float]:
    """Step along a ray by millimetres, as far as 60 m of depth."""
    depth = np.arange(0.7, 60, 1e-3)
    points = depth[:, None] * direction
    inside = (
        (points[:, None, 0] > boxes[:, 0])
        & (points[:, None, 0] < boxes[:, 2])
        & (points[:, None, 1] > boxes[:, 1])
        & (points[:, None, 1] < boxes[:, 3])
    )
    first = np.flatnonzero(inside.any(axis=1))
    return (int(inside[first[0]].argmax()), float(depth[first[0]])) if len(first) else (-1, math.inf)


@pytest.mark.parametrize("heading_deg", [0.0, 37.0, 120.0, 200.0, 301.0])
def test_the_first_hit_agrees_with_marching(heading_deg: float) -> None:
    rng = np.random.default_rng(3)
    corner = rng.uniform(-35, 35, (14, 2))
    corner = corner[np.abs(corner).max(axis=1) > 12]
    boxes = np.concatenate([corner, corner + rng.uniform(2, 9, corner.shape)], axis=1).astype(np.float32)
    rays = make_rays(heading_deg)
    hits = cast_boxes(rays, boxes, np.full(len(boxes), 5, np.float32), 1)
    for column, direction in enumerate(rays.direction.astype(float)):
        index, depth = march(direction, boxes.astype(float))
        found = int(hits[0].index[column]) if hits else -1
        assert found == index
        if index >= 0:
            assert hits[0].depth_m[column] == pytest.approx(depth, abs=3e-3)
            east, north = depth * direction
            box, side = boxes[index], int(hits[0].side[column])
            assert abs((east if side in (WEST, EAST) else north) - box[side]) < 0.01
            assert hits[0].along_m[column] == pytest.approx(north if side in (WEST, EAST) else east, abs=0.01)


@pytest.mark.parametrize(("heading_deg", "side"), [(0, SOUTH), (90, WEST), (180, NORTH), (270, EAST)])
def test_walls_face_the_camera(heading_deg: float, side: int) -> None:
    ring = np.array([[-9, 5, 9, 8], [5, -9, 8, 9], [-9, -8, 9, -5], [-8, -9, -5, 9]], np.float32)
    hits = cast_boxes(make_rays(heading_deg, 5), ring, np.full(4, 2, np.float32), 1)
    assert hits[0].side[2] == side
    assert hits[0].depth_m[2] == pytest.approx(5)


def test_a_further_box_counts_only_where_it_rises_above() -> None:
    boxes = np.array([[-50, 10, 50, 12], [-50, 20, 50, 22], [-50, 40, 50, 42]], np.float32)
    rise = np.array([4, 7, 20], np.float32)  # elevations 0.40, 0.35, 0.50
    hits = cast_boxes(make_rays(0, 7), boxes, rise, 3)
    assert [set(layer.index.tolist()) for layer in hits] == [{0}, {2}]


def test_nothing_in_sight_gives_no_layers() -> None:
    rays = make_rays(0)
    assert cast_boxes(rays, np.array([[-5, -20, 5, -10]], np.float32), np.ones(1, np.float32), 2) == []
    assert cast_boxes(rays, np.zeros((0, 4), np.float32), np.zeros(0, np.float32), 2) == []
    assert cast_posts(rays, np.zeros((0, 2), np.float32), np.zeros(0, np.float32), 2) == []
    assert cast_posts(rays, np.array([[0, -9]], np.float32), np.ones(1, np.float32), 2) == []


@pytest.mark.parametrize("heading_deg", [0.0, 75.0, 222.0])
def test_posts_cover_the_columns_that_trigonometry_says(heading_deg: float) -> None:
    rays = make_rays(heading_deg, 80, origin=(3.0, -2.0))
    heading = math.radians(heading_deg)
    centres, radius = [], [1.5, 2.5, 1.0]
    for depth, sideways in ((9.0, -3.0), (17.0, 4.0), (12.0, 0.0)):
        east = 3 + depth * math.sin(heading) + sideways * math.cos(heading)
        centres.append((east, -2 + depth * math.cos(heading) - sideways * math.sin(heading)))
    hits = cast_posts(rays, np.array(centres, np.float32), np.array(radius, np.float32), 1)[0]
    for column, tangent in enumerate(rays.right):
        offsets = {0: tangent * 9 + 3, 1: tangent * 17 - 4, 2: tangent * 12}
        within = [post for post in (0, 2, 1) if abs(offsets[post]) < radius[post]]
        assert hits.index[column] == (within[0] if within else -1)
        if within:
            assert hits.along_m[column] == pytest.approx(offsets[within[0]], abs=1e-3)
