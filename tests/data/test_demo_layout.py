from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from vgsearch.data.demo_layout import (
    FIRST_STREET_M,
    PITCH_M,
    ROAD_HALF_M,
    SIDEWALK_M,
    TREE,
    CityLayout,
    draw_layout,
)
from vgsearch.data.demo_styles import Material, draw_styles


@pytest.fixture(scope="module")
def layout() -> CityLayout:
    return draw_layout(seed=4, blocks_across=5)


def from_line(metres: float) -> float:
    lines = FIRST_STREET_M + PITCH_M * np.arange(6)
    return float(np.abs(lines - metres).min())


def test_buildings_do_not_overlap(layout: CityLayout) -> None:
    for first, second in combinations(layout.boxes_m.astype(float), 2):
        apart = first[2] <= second[0] + 1e-3 or second[2] <= first[0] + 1e-3
        apart = apart or first[3] <= second[1] + 1e-3 or second[3] <= first[1] + 1e-3
        assert apart


def test_streets_and_pavements_are_free_and_fronts_are_at_the_pavement(layout: CityLayout) -> None:
    edge = ROAD_HALF_M + SIDEWALK_M
    for box, front in zip(layout.boxes_m, layout.fronts_street, strict=True):
        for side in range(4):
            assert from_line(float(box[side])) >= edge - 1e-3
            assert front[side] == (from_line(float(box[side])) < edge + 1e-3)


def test_buildings_fill_their_blocks_but_not_the_parks(layout: CityLayout) -> None:
    width, depth = (layout.boxes_m[:, 2:] - layout.boxes_m[:, :2]).T
    assert min(width.min(), depth.min()) > 4
    block_side = PITCH_M - 2 * (ROAD_HALF_M + SIDEWALK_M)
    built = 25 - int(layout.parks.sum())
    assert float((width * depth).sum()) == pytest.approx(built * block_side**2, rel=1e-4)
    assert not layout.parks[[0, -1]].any()
    assert not layout.parks[:, [0, -1]].any()


def test_posts_stand_off_the_road_and_cars_on_it(layout: CityLayout) -> None:
    for east, north in layout.posts.centre_m:
        assert min(from_line(float(east)), from_line(float(north))) > ROAD_HALF_M
    for east, north, runs_east in layout.kerb_slots_m:
        assert from_line(float(north if runs_east else east)) < ROAD_HALF_M
        assert from_line(float(east if runs_east else north)) > ROAD_HALF_M + 5
    assert 0.2 < (layout.posts.kind == TREE).mean() < 0.8


def test_a_seed_decides_everything(layout: CityLayout) -> None:
    again, other = draw_layout(4, 5), draw_layout(5, 5)
    assert np.array_equal(layout.boxes_m, again.boxes_m)
    assert np.array_equal(layout.posts.key, again.posts.key)
    assert not np.array_equal(layout.boxes_m, other.boxes_m)


def test_styles_fit_their_buildings(layout: CityLayout) -> None:
    styles = draw_styles(layout)
    assert styles.palette.shape == (len(layout.boxes_m), len(Material), 3)
    assert styles.palette.min() >= 0
    assert styles.palette.max() <= 1
    assert (styles.window_top_m < styles.floor_m).all()
    assert (styles.sill_m < styles.window_top_m - 0.5).all()
    assert (2 * styles.window_half_m < styles.bay_m).all()
    top_storey_m = styles.ground_m + styles.floor_m * styles.storeys
    assert (styles.height_m > top_storey_m + 0.5).all()
