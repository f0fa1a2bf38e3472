"""Image names in SF-XS layout, read a million at a time, and written one at a time.

`@UTM_east@UTM_north@zone@letter@lat@lon@pano@tile@heading@pitch@roll@height@timestamp@note@.jpg`: the fields
stand between the `@` of the file name; the folder part may hold `@` of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import utm

from vgsearch.data.decimals import Bytes, Floats, Ints, byte_buffer, parse_decimals

EAST, NORTH, ZONE, LETTER, LATITUDE, LONGITUDE = 1, 2, 3, 4, 5, 6
HEADING, TIMESTAMP, NOTE = 9, 13, 14

NAME_LAYOUT = (
    "@UTM_east@UTM_north@zone@letter@lat@lon@pano@tile@heading@pitch@roll@height@timestamp@note@.jpg"
)

_BLOCK = 1 << 14  # names parsed at once: their columns stay in the processor's cache, at any folder size


@dataclass(frozen=True, eq=False)
class ImageNames:
    """What n image names say. NaN stands where a field is absent, empty, no number or not finite.

    Attributes:
        names: the names as given (a folder part is allowed), length n.
        utm_east: metres, float64 (n,).
        utm_north: metres, float64 (n,).
        heading_deg: degrees as written, float64 (n,).
    """

    names: Sequence[str]
    utm_east: Floats
    utm_north: Floats
    heading_deg: Floats

    @cached_property
    def timestamp(self) -> list[str]:
        """Field 13 of each name, "" where absent."""
        return [name_field(name, TIMESTAMP) for name in self.names]

    @cached_property
    def note(self) -> list[str]:
        """Field 14 of each name, "" where absent."""
        return [name_field(name, NOTE) for name in self.names]


def parse_names(names: Sequence[str]) -> ImageNames:
    """Read coordinates and heading of image names; never raises on a malformed one.

    Args:
        names: file names, or paths with `/` between folders.

    Returns:
        Arrays of length `len(names)`; every number equals Python's `float` of its field.
    """
    fields = np.empty((3, len(names)))
    for begin in range(0, len(names), _BLOCK):
        block = list(names[begin : begin + _BLOCK])
        buffer, borders = byte_buffer(block)
        starts, ends = _file_name_parts(buffer, borders)
        ats = np.append(np.flatnonzero(buffer == ord("@")), np.iinfo(np.int64).max)
        first_at = np.searchsorted(ats, starts)
        for row, field in enumerate((EAST, NORTH, HEADING)):
            opening = ats[np.minimum(first_at + field - 1, ats.size - 1)]
            closing = ats[np.minimum(first_at + field, ats.size - 1)]
            # No `@` before the field: the slice would begin past the name, so make it an empty one.
            field_start = np.minimum(opening, ends) + 1
            fields[row, begin : begin + len(block)] = parse_decimals(
                buffer, field_start, np.minimum(closing, ends)
            )
    return ImageNames(names, *fields)


def _file_name_parts(buffer: Bytes, borders: Ints) -> tuple[Ints, Ints]:
    """Where the file name of each path begins and ends in the buffer."""
    starts, ends = borders[:-1], borders[1:]
    slashes = np.append(-1, np.flatnonzero(buffer == ord("/")))
    last_slash = slashes[np.searchsorted(slashes, ends) - 1]
    return np.maximum(starts, last_slash + 1), ends


def name_field(name: str, field: int) -> str:
    """One field of a name (a folder part is skipped), "" where there is none."""
    fields = name.rpartition("/")[2].split("@", field + 1)
    return fields[field] if len(fields) > field else ""


def utm_name(
    utm_east: float,
    utm_north: float,
    *,
    zone: int,
    letter: str,
    heading_deg: float | None = None,
    pano: str = "",
    tile: str = "",
    timestamp: str = "",
    note: str = "",
    suffix: str = ".jpg",
) -> str:
    """Write a file name in SF-XS layout; latitude and longitude are worked out from the coordinates.

    Args:
        utm_east: metres; written with two decimals, padded so that names sort by place.
        utm_north: metres; the same.
        zone: UTM zone number, 1 to 60.
        letter: UTM latitude band, C to X.
        heading_deg: degrees; None leaves the field empty. Whole degrees read `090`, others `090.25`.
        pano: free text, the panorama's or frame's name.
        tile: free text.
        timestamp: free text, `202604` in SF-XS.
        note: free text.
        suffix: with its point.

    Raises:
        ValueError: a text holds `@` or `/`, which would move the fields.
    """
    for text in (letter, pano, tile, timestamp, note, suffix):
        if "@" in text or "/" in text:
            raise ValueError(f"a field of an image name holds no '@' and no '/', but got {text!r}")
    latitude, longitude = utm.to_latlon(utm_east, utm_north, zone, letter, strict=False)
    heading = "" if heading_deg is None else f"{heading_deg:06.2f}".removesuffix(".00")
    return (
        f"@{utm_east:010.2f}@{utm_north:010.2f}@{zone:02d}@{letter}@{latitude:09.5f}@{longitude:010.5f}"
        f"@{pano}@{tile}@{heading}@@@@{timestamp}@{note}@{suffix}"
    )
