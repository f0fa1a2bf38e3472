"""Miniature trees in the layouts that VPR-datasets-downloader leaves, with its names for each dataset."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import utm
from PIL import Image


def place_name(
    latitude: float, longitude: float, *, pano: str = "", tile: str = "", timestamp: str = "", note: str = ""
) -> str:
    """A name as the downloader formats it: padded coordinates, most fields empty, no heading."""
    east, north, zone, letter = utm.from_latlon(latitude, longitude)
    return (
        f"@{east:010.2f}@{north:010.2f}@{zone:02d}@{letter}@{latitude:09.5f}@{longitude:010.5f}"
        f"@{pano}@{tile}@@@@@{timestamp}@{note}@.jpg"
    )


def frame_name(frame: int, metres: str) -> str:
    """Nordland, AmsterTime and SPED: no place on earth, a position along a line."""
    return f"@0@{metres}@@@@@{frame}@@@@@@@@.jpg"


def write(folder: Path, names: list[str], *, value: int | None = None) -> None:
    """A picture for each name, unlike all others unless `value` makes it plain."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        seed = [*(folder / name).as_posix().encode()[-120:]]
        pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
        if value is not None:
            pixels = pixels // 8 + np.uint8(value)
        Image.fromarray(pixels).save(folder / name, format="JPEG")


def pitts30k(root: Path) -> Path:
    for split, first in (("train", 40.44), ("val", 40.45), ("test", 40.46)):
        names = [
            place_name(first + i * 1e-5, -79.99, pano=f"{i:06d}", tile=f"{i:02d}", note=f"pitch1_yaw{i + 1}")
            for i in range(12)
        ]
        write(root / "pitts30k" / "images" / split / "database", names)
        write(root / "pitts30k" / "images" / split / "queries", names[:4])
    return root / "pitts30k" / "images"


def msls(root: Path) -> Path:
    """Queries by day and night; `test` is a link to `val`."""
    for split, latitude, longitude, city in (("train", 59.91, 10.75, "oslo"), ("val", 55.68, 12.57, "cph")):
        for part, count in (("database", 12), ("queries", 6)):
            names = [
                place_name(
                    latitude + i * 1e-5,
                    longitude,
                    pano=f"{part[0]}{i}_-xY",
                    timestamp="20180203",
                    note=f"{'night' if part == 'queries' and i % 3 == 0 else 'day'}_forward_{city}",
                )
                for i in range(count)
            ]
            write(root / "msls" / split / part, names)
    (root / "msls" / "test").symlink_to(root / "msls" / "val")
    return root / "msls"


def svox(root: Path) -> Path:
    """One gallery, and queries of several kinds of weather."""
    names = [place_name(51.76 + i * 1e-5, -1.26, pano=f"g{i}") for i in range(8)]
    for split in ("train", "val", "test"):
        write(root / "svox" / "images" / split / "gallery", names)
        write(root / "svox" / "images" / split / "queries", names[:4])
    for number, weather in enumerate(("night", "overcast", "rain", "snow", "sun"), start=1):
        write(root / "svox" / "images" / "test" / f"queries_{weather}", names[:number])
    return root / "svox" / "images"


def st_lucia(root: Path) -> Path:
    """South of the equator."""
    for part, drive in (("database", "100909_0845"), ("queries", "180809_1545")):
        names = [place_name(-27.497 - i * 5e-5, 153.0, pano=f"{drive}_{i:05d}") for i in range(10)]
        write(root / "st_lucia" / "images" / "test" / part, names)
    return root / "st_lucia" / "images" / "test"


def nordland(root: Path, frames: int = 30) -> Path:
    """Positions of 25 / 10.5 metres a frame, so that 25 m are ten frames either way."""
    for part in ("database", "queries"):
        names = [frame_name(i, f"{i * 25 / 10.5:07.1f}") for i in range(frames)]
        write(root / "nordland" / "images" / "test" / part, names)
    return root / "nordland" / "images" / "test"


def amstertime(root: Path) -> Path:
    """Pairs 1,000 m apart from one another."""
    for part in ("database", "queries"):
        names = [frame_name(i, str(i * 1000)) for i in range(300)]
        write(root / "amstertime" / "images" / "test" / part, names[::60])
    return root / "amstertime" / "images" / "test"


def tokyo_xs(root: Path, views: int = 4) -> Path:
    """Three times of day for each view; the numbers are all that tells, and the third is dark."""
    database = [place_name(35.66 + i * 1e-5, 139.7, pano=f"pano{i}", tile=f"{i % 12:02d}") for i in range(10)]
    write(root / "tokyo_xs" / "test" / "database", database)
    for number in range(1, 3 * views + 1):
        name = place_name(35.66 + number * 1e-5, 139.7, pano=f"{number:05d}.jpg")
        write(root / "tokyo_xs" / "test" / "queries", [name], value=20 if number % 3 == 0 else 150)
    return root / "tokyo_xs" / "test"
