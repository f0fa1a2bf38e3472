"""Coordinates from a CSV file beside the images, for data whose names do not hold them."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import utm
from numpy.typing import NDArray

from vgsearch.data.decimals import Floats, byte_buffer, parse_decimals
from vgsearch.data.listing import Listing
from vgsearch.errors import DataError

CSV_NAME = "images.csv"

_REACH_DEG = 9  # from a zone's middle to the far edge of its neighbour; `utm` stays within 0.3 m so far out


@dataclass(frozen=True)
class UtmZone:
    """The zone that latitudes and longitudes were converted into."""

    number: int
    northern: bool

    @property
    def middle_deg(self) -> float:
        """Longitude of the central meridian, degrees east."""
        return float(6 * self.number - 183)

    def __str__(self) -> str:
        return f"{self.number} {'north' if self.northern else 'south'}"


@dataclass(frozen=True, eq=False)
class CsvLayout:
    """What `images.csv` says, sorted by path; NaN where a cell is empty.

    Attributes:
        listing: the images, with sizes and times read from the disk.
        table: east (m), north (m), heading (degrees): float64 (3, n).
        zone: set if the file gives latitude and longitude.
    """

    listing: Listing
    table: Floats
    zone: UtmZone | None


def read_csv_layout(folder: Path, zone: UtmZone | None = None) -> CsvLayout:
    """Read `folder/images.csv`: columns path, then utm_east and utm_north or lat and lon, and maybe heading.

    Paths are relative to `folder`. Latitudes and longitudes (degrees, WGS84) become UTM metres, all in one
    zone so that distances hold: `zone`, or else that of the file's first row with a position. Positions may
    reach into the zones beside it (distances then stretch by 1.2% at most), not beyond. Other columns are
    ignored.

    Raises:
        DataError: a missing column, a cell that is no number, a path that leaves the folder, comes twice or
            has no file, a position too far from the zone; the message names the line.
    """
    csv_path = folder / CSV_NAME
    paths, columns, lines = _read_columns(csv_path)
    _check_paths(csv_path, paths, lines)
    heading = _numbers(csv_path, columns, "heading", lines)
    if "utm_east" in columns:
        east = _numbers(csv_path, columns, "utm_east", lines)
        north = _numbers(csv_path, columns, "utm_north", lines)
        zone = None
    else:
        latitude = _numbers(csv_path, columns, "lat", lines)
        longitude = _numbers(csv_path, columns, "lon", lines)
        _check_range(csv_path, "lat", latitude, -80, 84, lines)
        _check_range(csv_path, "lon", longitude, -180, 180, lines)
        east, north, zone = to_utm(latitude, longitude, zone)
        _check_reach(csv_path, longitude, zone, lines)
    order = np.array(sorted(range(len(paths)), key=paths.__getitem__), np.int64)
    sorted_paths = tuple(paths[i] for i in order.tolist())
    listing = _stat_files(csv_path, folder, sorted_paths)
    return CsvLayout(listing, np.stack([east, north, heading])[:, order], zone)


def to_utm(
    latitude: Floats, longitude: Floats, zone: UtmZone | None
) -> tuple[Floats, Floats, UtmZone | None]:
    """Convert degrees to metres in one zone, that of the first finite position unless given.

    Across the equator the coordinates go on without the jump of 10,000 km between the hemispheres.

    Returns:
        East and north in metres, float64 (n,), and the zone; NaN stays NaN, None if there is no position.
    """
    east, north = np.full(latitude.shape, np.nan), np.full(latitude.shape, np.nan)
    finite = np.isfinite(latitude) & np.isfinite(longitude)
    if zone is None:
        if not finite.any():
            return east, north, None
        first = int(np.argmax(finite))
        number = utm.latlon_to_zone_number(float(latitude[first]), float(longitude[first]))
        zone = UtmZone(number, bool(latitude[first] >= 0))
    for part, northern in ((finite & (latitude >= 0), True), (finite & (latitude < 0), False)):
        if part.any():
            east[part], north[part], _, _ = utm.from_latlon(
                latitude[part], longitude[part], force_zone_number=zone.number
            )
            north[part] += 1e7 * (int(northern) - int(zone.northern))
    return east, north, zone


def _read_columns(csv_path: Path) -> tuple[list[str], dict[str, list[str]], NDArray[np.int64]]:
    """Paths, the other known columns that are there, and each row's line in the file."""
    try:
        with csv_path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = [name.strip().lower() for name in next(reader, [])]
            rows, lines = [], []
            for row in reader:
                if row:
                    rows.append(row)
                    lines.append(reader.line_num)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{csv_path} cannot be read as CSV in UTF-8: {error}") from error
    known = {"utm_east", "utm_north"} if "utm_east" in header else {"lat", "lon"}
    missing = sorted(({"path"} | known) - set(header))
    if missing:
        raise DataError(
            f"{csv_path} needs the columns path, utm_east, utm_north (or lat, lon) and maybe heading, "
            f"but has no {', '.join(missing)}; its first line is {','.join(header)!r}"
        )
    if not rows:
        raise DataError(f"{csv_path} lists no image: it has a header and no rows")
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(header):
            raise DataError(f"{csv_path}:{line}: {len(row)} cells, but the header has {len(header)}")
    wanted = [name for name in ("path", *sorted(known), "heading") if name in header]
    columns = {name: [row[header.index(name)].strip() for row in rows] for name in wanted}
    paths = [path and str(PurePosixPath(path)) for path in columns.pop("path")]
    return paths, columns, np.array(lines, np.int64)


def _check_paths(csv_path: Path, paths: list[str], lines: NDArray[np.int64]) -> None:
    first_line: dict[str, int] = {}
    for path, line in zip(paths, lines.tolist(), strict=True):
        if not path or path.startswith("/") or ".." in PurePosixPath(path).parts:
            raise DataError(
                f"{csv_path}:{line}: a path must be relative and stay in the folder, got {path!r}"
            )
        if path in first_line:
            raise DataError(f"{csv_path}:{line}: {path} is listed already on line {first_line[path]}")
        first_line[path] = line


def _numbers(
    csv_path: Path, columns: dict[str, list[str]], name: str, lines: NDArray[np.int64]
) -> NDArray[np.float64]:
    """One column as numbers; an empty cell, or a column that is not there, is NaN."""
    if name not in columns:
        return np.full(lines.shape, np.nan)
    texts = columns[name]
    buffer, borders = byte_buffer(texts)
    values = parse_decimals(buffer, borders[:-1], borders[1:])
    wrong = np.flatnonzero(np.isnan(values) & (np.diff(borders) > 0))
    if wrong.size:
        row = int(wrong[0])
        raise DataError(f"{csv_path}:{lines[row]}: {name} must be a number or empty, got {texts[row]!r}")
    return values


def _check_range(
    csv_path: Path, name: str, degrees: Floats, low: float, high: float, lines: NDArray[np.int64]
) -> None:
    wrong = np.flatnonzero((degrees < low) | (degrees > high))
    if wrong.size:
        row = int(wrong[0])
        raise DataError(
            f"{csv_path}:{lines[row]}: {name} must lie between {low} and {high} degrees for UTM, "
            f"but got {degrees[row]:g}"
        )


def _check_reach(csv_path: Path, longitude: Floats, zone: UtmZone | None, lines: NDArray[np.int64]) -> None:
    """One zone measures its neighbours too, and no further: metres would be wrong there."""
    if zone is None:
        return
    from_middle = np.abs((longitude - zone.middle_deg + 180) % 360 - 180)
    wrong = np.flatnonzero(from_middle > _REACH_DEG)
    if wrong.size:
        row = int(wrong[0])
        raise DataError(
            f"{csv_path}:{lines[row]}: lon {longitude[row]:g} lies {from_middle[row]:.0f} degrees from the "
            f"middle of UTM zone {zone}, in which this set is measured (that of its first position), and at "
            f"most {_REACH_DEG} can be: keep far cities in sets of their own, or give utm_east and utm_north"
        )


def _stat_files(csv_path: Path, folder: Path, paths: tuple[str, ...]) -> Listing:
    sizes, mtimes = np.empty(len(paths), np.int64), np.empty(len(paths), np.int64)
    missing: list[str] = []
    for i, path in enumerate(paths):
        try:
            status = os.stat(os.path.join(folder, path))
        except OSError:
            missing.append(path)
        else:
            sizes[i], mtimes[i] = status.st_size, status.st_mtime_ns
    if missing:
        raise DataError(
            f"{csv_path} lists {len(missing)} of {len(paths)} images that are not there, first {missing[0]}"
        )
    return Listing(paths, sizes, mtimes)
