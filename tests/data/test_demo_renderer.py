from __future__ import annotations

import numpy as np
import pytest

from vgsearch.data.demo_facades import LIT_WINDOW_SHARE, draw_facade, facade_columns
from vgsearch.data.demo_layout import CityLayout, draw_layout
from vgsearch.data.demo_light import draw_light
from vgsearch.data.demo_poses import Pose, stray_poses
from vgsearch.data.demo_rays import ColumnHits, cast_boxes
from vgsearch.data.demo_renderer import _SIGHT_M, _camera, _in_view, render_photo
from vgsearch.data.demo_street import Ground, draw_ground
from vgsearch.data.demo_styles import BuildingStyles, Material, draw_styles

STREET = Pose(75.0, 100.0, 0.0, 0.15, 75.0)


@pytest.fixture(scope="module")
def city() -> tuple[CityLayout, BuildingStyles]:
    layout = draw_layout(0, 4)
    return layout, draw_styles(layout)


def photo(
    city: tuple[CityLayout, BuildingStyles],
    pose: Pose = STREET,
    *,
    night: bool = False,
    seed: int = 0,
    px: int = 48,
) -> np.ndarray:
    light = draw_light(np.random.default_rng(seed), night=night)
    return render_photo(*city, pose, light, np.random.default_rng(seed + 100), px)


@pytest.mark.parametrize("px", [32, 33, 48])
def test_photos_are_square_and_8_bit(city: tuple[CityLayout, BuildingStyles], px: int) -> None:
    image = photo(city, px=px)
    assert image.shape == (px, px, 3)
    assert image.dtype == np.uint8
    assert image.std() > 20


def test_a_photo_is_a_function_of_its_seeds(city: tuple[CityLayout, BuildingStyles]) -> None:
    assert np.array_equal(photo(city), photo(city))
    assert not np.array_equal(photo(city), photo(city, seed=1))


def test_headings_turn_clockwise_from_north(city: tuple[CityLayout, BuildingStyles]) -> None:
    """Turning right by half the view moves what was in the right half into the left half."""
    layout, styles = city
    light = draw_light(np.random.default_rng(0), night=False)

    def look(heading: float) -> np.ndarray:
        pose = Pose(75.0, 100.0, heading, 0.15, 75.0)
        return render_photo(layout, styles, pose, light, np.random.default_rng(1), 64).astype(float)

    ahead, turned = look(60.0), look(60.0 + 25.0)
    shift = round(32 / np.tan(np.radians(37.5)) * np.tan(np.radians(25.0)))
    right = np.abs(ahead[16:40, shift + 6 : -6] - turned[16:40, 6 : -shift - 6]).mean()
    wrong = np.abs(turned[16:40, shift + 6 : -6] - ahead[16:40, 6 : -shift - 6]).mean()
    assert right < wrong


def test_night_is_dark_with_bright_windows(city: tuple[CityLayout, BuildingStyles]) -> None:
    days = np.stack([photo(city, seed=seed) for seed in range(6)])
    nights = np.stack([photo(city, seed=seed, night=True) for seed in range(6)])
    assert nights.mean() < 0.4 * days.mean()
    assert np.percentile(nights[:, :6], 30) < 35  # the sky between the roofs
    assert (nights > 150).mean() > 0.001


@pytest.mark.parametrize("heading", [0.0, 45.0, 90.0, 180.0, 270.0, 359.99])
@pytest.mark.parametrize("place", [(75.0, 75.0), (145.0, 110.5), (215.0, 214.0)])
def test_no_pose_breaks_it(
    city: tuple[CityLayout, BuildingStyles], heading: float, place: tuple[float, float]
) -> None:
    pose = Pose(*place, heading, 0.2, 70.0)
    with np.errstate(invalid="raise", divide="raise"):
        for night in (False, True):
            assert photo(city, pose, night=night, px=32).std() > 2


def test_a_wall_looks_the_same_from_everywhere(city: tuple[CityLayout, BuildingStyles]) -> None:
    layout, styles = city
    building = int(np.flatnonzero(layout.fronts_street[:, 1])[3])
    west, _, east, _ = layout.boxes_m[building]
    along = np.linspace(west + 0.2, east - 0.2, 60).astype(np.float32)
    height = np.linspace(0.1, styles.height_m[building], 50).astype(np.float32)[:, None]

    def materials(order: np.ndarray) -> np.ndarray:
        row = np.full(60, building)
        hits = ColumnHits(row, np.linspace(5, 40, 60).astype(np.float32), along[order], np.ones(60, np.int64))
        front = facade_columns(layout, styles, hits)
        return draw_facade(front, styles, np.broadcast_to(height, (50, 60)), None).material

    backwards = np.arange(60)[::-1]
    assert np.array_equal(materials(np.arange(60)), materials(backwards)[:, ::-1])
    assert len(np.unique(materials(np.arange(60)))) >= 3


def test_a_third_of_the_windows_is_lit_at_night_and_none_by_day(
    city: tuple[CityLayout, BuildingStyles],
) -> None:
    layout, styles = city
    panes = lit = 0
    for building in np.flatnonzero(layout.fronts_street[:, 1] & (styles.storeys > 0)):
        west, _, east, _ = layout.boxes_m[building]
        along = np.linspace(west + 0.1, east - 0.1, 40).astype(np.float32)
        hits = ColumnHits(np.full(40, building), np.ones(40, np.float32), along, np.ones(40, np.int64))
        front = facade_columns(layout, styles, hits)
        top = styles.ground_m[building] + styles.floor_m[building] * styles.storeys[building]
        height = np.linspace(styles.ground_m[building] + 0.1, top, 80, dtype=np.float32)[:, None].repeat(
            40, 1
        )
        day = draw_facade(front, styles, height, None)
        night = draw_facade(front, styles, height, 12345)
        assert not day.glow.any()
        pane = np.isin(day.material, [Material.GLASS, Material.CURTAIN])
        panes += pane.sum()
        lit += (pane & (night.glow > 0)).sum()
    assert lit / panes == pytest.approx(LIT_WINDOW_SHARE, abs=0.05)


def test_the_ground_is_road_between_kerbs_and_pavement_beyond(
    city: tuple[CityLayout, BuildingStyles],
) -> None:
    layout, _ = city
    across = np.array([[75.5, 77.0, 79.9, 80.1, 82.0]], np.float32)
    ground = draw_ground(layout, across, np.full_like(across, 110.0))
    assert ground.material[0].tolist() == [Ground.ASPHALT] * 3 + [Ground.KERB, Ground.SLAB]
    outside = draw_ground(layout, np.float32([[-500.0]]), np.float32([[9_000.0]]))
    assert outside.material.shape == (1, 1)


def test_buildings_left_out_of_view_are_met_by_no_ray(city: tuple[CityLayout, BuildingStyles]) -> None:
    layout, styles = city
    centre = (layout.boxes_m[:, :2] + layout.boxes_m[:, 2:]) / 2
    for pose in stray_poses(layout.blocks_across, 40, np.random.default_rng(0)):
        rays, _ = _camera(pose, 64)
        view = _in_view(rays, layout.boxes_m)
        around = np.flatnonzero(np.hypot(*(centre - rays.origin_m).T) < _SIGHT_M)
        assert len(view) < 0.6 * len(around)
        some, every = (
            cast_boxes(rays, layout.boxes_m[ids], styles.height_m[ids], 3) for ids in (view, around)
        )
        for few, many in zip(some, every, strict=True):
            assert np.array_equal(few.index < 0, many.index < 0)
            met = many.index >= 0
            assert np.array_equal(view[few.index[met]], around[many.index[met]])
