from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import utm

from vgsearch.config.search import DemoCityConfig
from vgsearch.data.demo_plan import SIZES, layout_seed, plan_photos
from vgsearch.data.names import parse_names


@pytest.mark.parametrize("size", ["tiny", "small", "full"])
def test_every_folder_gets_its_share(size: str) -> None:
    photos = plan_photos(DemoCityConfig(size=size))
    counts = Counter(photo.path.rpartition("/")[0] for photo in photos)
    plan = SIZES[size]
    assert counts["train"] == plan.train_classes * plan.photos_per_class
    for name in ("val", "test"):
        assert counts[f"{name}_day/database"] == plan.database_spots * 4
        assert counts[f"{name}_day/queries"] == counts[f"{name}_night/queries"] == plan.queries
    assert counts["target_night"] == plan.target_photos
    assert len(counts) == 8
    assert len({photo.path for photo in photos}) == len({photo.seed for photo in photos}) == len(photos)


def test_names_hold_the_pose_and_its_latitude_and_longitude() -> None:
    photos = [photo for photo in plan_photos(DemoCityConfig(size="tiny")) if "target" not in photo.path]
    names = parse_names([photo.path for photo in photos])
    for photo, east, north, heading in zip(
        photos, names.utm_east, names.utm_north, names.heading_deg, strict=True
    ):
        assert north - 4_178_000 == pytest.approx(photo.pose.north_m)
        assert (east - photo.pose.east_m) % 1_000 == pytest.approx(0, abs=1e-6)
        assert heading == photo.pose.heading_deg
        fields = photo.path.rpartition("/")[2].split("@")
        assert fields[3:5] == ["10", "S"]
        assert utm.from_latlon(float(fields[5]), float(fields[6]))[:2] == pytest.approx((east, north), abs=1)
        assert photo.night == (fields[14] == "night")


def test_unlabelled_names_say_nothing() -> None:
    photos = [photo for photo in plan_photos(DemoCityConfig(size="tiny")) if "target" in photo.path]
    assert np.isnan(parse_names([photo.path for photo in photos]).utm_east).all()
    assert all(photo.night for photo in photos)


def test_night_queries_stand_where_the_day_queries_stood() -> None:
    photos = plan_photos(DemoCityConfig(size="tiny"))
    day = [photo.pose for photo in photos if photo.path.startswith("val_day/queries")]
    assert day == [photo.pose for photo in photos if photo.path.startswith("val_night/queries")]


def test_no_two_cities_of_any_seeds_are_the_same() -> None:
    seeds = {layout_seed(DemoCityConfig(seed=seed), city) for seed in range(5) for city in range(3)}
    assert len(seeds) == 15
