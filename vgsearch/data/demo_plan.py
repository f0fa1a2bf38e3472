"""Which photos a demo city consists of: sizes, folders, names, and a seed for each photo."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from vgsearch.config.search import DemoCityConfig
from vgsearch.data.demo_poses import Pose, database_poses, query_poses, stray_poses, training_poses
from vgsearch.data.demo_viewpoint import far_turned_query_poses
from vgsearch.data.names import utm_name

CITIES = TRAIN, VAL, TEST = range(3)
UTM_ZONE, UTM_LETTER = 10, "S"
_NORTH_M = 4_178_000.0
_EAST_M = {TRAIN: 546_000.0, VAL: 549_000.0, TEST: 552_000.0}
_CITY_NAMES = {TRAIN: "train", VAL: "val", TEST: "test"}
_PHOTO, _POSES = range(2)
_TARGET_STREAM = 3


@dataclass(frozen=True)
class CitySize:
    """How much of everything; the cities of one demo are equally large."""

    blocks_across: int
    train_classes: int
    photos_per_class: int
    headings_per_cell: int
    database_spots: int
    queries: int
    target_photos: int


SIZES = {
    "tiny": CitySize(3, 12, 4, 2, 4, 6, 8),
    "small": CitySize(5, 240, 5, 2, 72, 250, 120),
    "full": CitySize(8, 960, 5, 3, 200, 624, 600),
}
DATABASE_HEADINGS = 4
SHARED_FOLDERS = {f"{name}_night/database": f"{name}_day/database" for name in ("val", "test")}
"""Folders that hold the same photos as another: `{folder: the one it repeats}`."""


@dataclass(frozen=True)
class Photo:
    """One photo to take.

    Attributes:
        path: where it goes, relative to the demo's folder.
        city: `TRAIN`, `VAL` or `TEST`.
        pose: the camera, in that city's frame.
        night: whether it is dark.
        seed: words for a `SeedSequence` that belongs to this photo alone.
    """

    path: str
    city: int
    pose: Pose
    night: bool
    seed: tuple[int, ...]


def plan_photos(config: DemoCityConfig) -> list[Photo]:
    """List every photo of the demo; the databases of the night splits are the day's, see `SHARED_FOLDERS`."""
    size = SIZES[config.size]
    photos: list[Photo] = []

    def add(folder: str, city: int, poses: list[Pose], *, night: bool) -> None:
        role = zlib.crc32(folder.encode())
        for index, pose in enumerate(poses):
            name = _plain_name(index) if folder == "target_night" else _name(city, folder, index, pose, night)
            photos.append(Photo(f"{folder}/{name}", city, pose, night, (config.seed, _PHOTO, role, index)))

    rng = _rng(config.seed, TRAIN)
    train = training_poses(
        size.blocks_across, size.train_classes, size.photos_per_class, size.headings_per_cell, rng
    )
    add("train", TRAIN, train, night=False)
    for city in (VAL, TEST):
        rng = _rng(config.seed, city)
        database = database_poses(size.blocks_across, size.database_spots, DATABASE_HEADINGS, rng)
        draw_queries = far_turned_query_poses if config.viewpoint == "strong" else query_poses
        queries = draw_queries(database, size.queries, rng)
        name = _CITY_NAMES[city]
        add(f"{name}_day/database", city, database, night=False)
        add(f"{name}_day/queries", city, queries, night=False)
        add(f"{name}_night/queries", city, queries, night=True)
    strays = stray_poses(size.blocks_across, size.target_photos, _rng(config.seed, _TARGET_STREAM))
    add("target_night", TRAIN, strays, night=True)
    return photos


def layout_seed(config: DemoCityConfig, city: int) -> int:
    """The seed of one city's streets and houses: no two cities share it, whatever their demos' seeds."""
    return 3 * config.seed + city


def _rng(seed: int, stream: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence([seed, _POSES, stream]))


def _plain_name(index: int) -> str:
    """A name that says nothing: the target domain has no coordinates."""
    return f"night_{index:05d}.jpg"


def _name(city: int, folder: str, index: int, pose: Pose, night: bool) -> str:
    return utm_name(
        _EAST_M[city] + pose.east_m,
        _NORTH_M + pose.north_m,
        zone=UTM_ZONE,
        letter=UTM_LETTER,
        heading_deg=pose.heading_deg,
        pano=f"demo_{folder.replace('/', '_')}_{index:05d}",
        timestamp="202406" if folder.endswith("queries") else "202309",
        note="night" if night else "day",
    )
