"""Which queries were taken at night, as far as their names say so: notes, timestamps, Tokyo 24/7's numbers.

Each rule answers for all names at once: int8 (q,), `NIGHT`, `NOT_NIGHT` or `UNKNOWN`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date

import numpy as np
from numpy.typing import NDArray

from vgsearch.data.names import LATITUDE, LONGITUDE, name_field, parse_names
from vgsearch.data.sun import is_night, nautical_utc_offset_h

UNKNOWN, NOT_NIGHT, NIGHT = -1, 0, 1
Verdicts = NDArray[np.int8]

NIGHT_WORDS = frozenset({"night", "nighttime"})
OTHER_WORDS = frozenset(
    {"day", "daytime", "morning", "noon", "afternoon", "evening", "sunset", "sunrise", "dusk", "dawn"}
)

TOKYO_247_QUERIES = 1125
"""Tokyo 24/7 (Torii et al., CVPR 2015): 125 places, 3 directions, 3 times of day."""

_WORD = re.compile(r"[a-z]+")
_TIMESTAMP = re.compile(r"(\d{4})(\d{2})(\d{2})_(\d{2})(\d{2})?(\d{2})?")
_TOKYO_NUMBER = re.compile(r"(\d{5})(?:\.jpg)?")
_PANO = 7


def verdict_of_word(text: str) -> int:
    """Read one time of day: `night`, `day`, `sunset` and the like, alone or among other words.

    `UNKNOWN` where no word tells, or two words disagree.
    """
    words = set(_WORD.findall(text.lower()))
    is_dark, is_light = bool(words & NIGHT_WORDS), bool(words & OTHER_WORDS)
    if is_dark == is_light:
        return UNKNOWN
    return NIGHT if is_dark else NOT_NIGHT


def by_note(names: Sequence[str]) -> Verdicts:
    """By the note in each name, such as MSLS's `night_forward_cph`."""
    return np.array([verdict_of_word(note) for note in parse_names(names).note], np.int8)


def by_timestamp(names: Sequence[str], utc_offset_h: float | None = None) -> Verdicts:
    """By the sun, at the local time `YYYYMMDD_hhmmss` and the latitude and longitude in each name.

    Args:
        names: image names.
        utc_offset_h: the local clock minus UTC; None for the zone of the longitude, in whole hours.
    """
    rows = np.full((5, len(names)), np.nan)
    for i, (stamp, name) in enumerate(zip(parse_names(names).timestamp, names, strict=True)):
        rows[:, i] = _moment(stamp, name)
    day, hour, latitude, longitude, known = rows
    offset = nautical_utc_offset_h(longitude) if utc_offset_h is None else np.full(len(names), utc_offset_h)
    verdicts = np.full(len(names), UNKNOWN, np.int8)
    with np.errstate(invalid="ignore"):
        night = is_night(day, hour, latitude, longitude, offset)
    verdicts[known == 1] = np.where(night, NIGHT, NOT_NIGHT)[known == 1]
    return verdicts


def by_tokyo_number(names: Sequence[str]) -> Verdicts:
    """By the number of a Tokyo 24/7 query, `00001.jpg` to `01125.jpg`, as file name or panorama's name.

    The three times of day of a view follow one another: the first is by day, the second at sunset, the third
    at night. So 00003, 00006, ... are night: 105 of the 315 queries that are commonly used.
    """
    texts = [name_field(name, _PANO) or name.rpartition("/")[2] for name in names]
    matches = [_TOKYO_NUMBER.fullmatch(text) for text in texts]
    numbers = np.array([0 if match is None else int(match[1]) for match in matches], np.int64)
    known = (numbers >= 1) & (numbers <= TOKYO_247_QUERIES)
    if len(np.unique(numbers[known])) < known.sum():
        return np.full(len(names), UNKNOWN, np.int8)  # numbered otherwise
    return np.where(known, np.where(numbers % 3 == 0, NIGHT, NOT_NIGHT), UNKNOWN).astype(np.int8)


def _moment(stamp: str, name: str) -> tuple[float, float, float, float, float]:
    """Day of the year, hour, latitude, longitude, and 1 if all of that is known."""
    match = _TIMESTAMP.fullmatch(stamp)
    try:
        latitude, longitude = float(name_field(name, LATITUDE)), float(name_field(name, LONGITUDE))
        if match is None:
            return (np.nan,) * 5
        year, month, day, hour, minute, second = (int(part or 0) for part in match.groups())
        day_of_year = date(year, month, day).timetuple().tm_yday
    except ValueError:
        return (np.nan,) * 5
    if hour > 23 or minute > 59 or second > 60 or not (abs(latitude) <= 90 and abs(longitude) <= 180):
        return (np.nan,) * 5
    return day_of_year, hour + minute / 60 + second / 3600, latitude, longitude, 1.0
