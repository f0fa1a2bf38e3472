"""Are the coordinates of an index those of one city, and do the names agree with themselves?"""

from __future__ import annotations

import math

import numpy as np
import utm
from numpy.typing import NDArray

from vgsearch.data.check_report import Problem, Severity
from vgsearch.data.csv_layout import CSV_NAME
from vgsearch.data.index import ImageIndex
from vgsearch.data.names import LATITUDE, LETTER, LONGITUDE, ZONE, name_field

_EAST_RANGE_M = (100_000, 900_000)  # of UTM; a zone is never wider, even at the equator
_NORTH_RANGE_M = (0, 10_000_000)
_CITY_RADIUS_M = 100_000
_AGREEMENT_M = 10  # five decimals of a degree are about a metre
_SAMPLE = 1000


def check_coordinates(index: ImageIndex, part: str) -> list[Problem]:
    """Look at east, north and heading; `part` is what messages call the images."""
    east, north = index.utm_east, index.utm_north
    known = np.isfinite(east) & np.isfinite(north)
    problems = _count(index, ~known, "error", f"{part} have no UTM coordinates")
    if not known.any():
        return problems
    if not lies_on_a_line(index):
        problems += _check_map(index, part, known)
    if known.sum() > 1 and np.ptp(east[known]) == 0 and np.ptp(north[known]) == 0:
        problems.append(Problem("warning", f"all {part} lie at one and the same place"))
    heading = index.heading_deg
    problems += _count(
        index, (heading < 0) | (heading > 360), "warning", f"{part} have a heading outside 0 to 360 degrees"
    )
    return problems + ([] if (index.root / CSV_NAME).is_file() else _check_names(index, part))


def lies_on_a_line(index: ImageIndex) -> bool:
    """Whether positions are made up along a line: Nordland's frames, the pairs of AmsterTime and SPED."""
    known = np.isfinite(index.utm_east) & np.isfinite(index.utm_north)
    return bool(known.any() and (index.utm_east[known] == 0).all())


def _check_map(index: ImageIndex, part: str, known: NDArray[np.bool_]) -> list[Problem]:
    """Positions that should be those of one city on a map."""
    east, north = index.utm_east, index.utm_north
    in_east = (east >= _EAST_RANGE_M[0]) & (east <= _EAST_RANGE_M[1])
    in_north = (north >= _NORTH_RANGE_M[0]) & (north <= _NORTH_RANGE_M[1])
    if index.utm_zone is not None:  # converted by ourselves, from degrees that were checked
        in_east, in_north = known, known
    problems = _count(
        index,
        known & ~(in_east & in_north),
        "warning",
        f"{part} lie outside UTM (east 100,000 to 900,000 m, north 0 to 10,000,000 m; swapped fields, "
        f"another unit or another projection?)",
    )
    centre = np.median(east[known]), np.median(north[known])
    distance_m = np.hypot(east - centre[0], north - centre[1])
    problems += _count(
        index,
        known & (distance_m > _CITY_RADIUS_M),
        "warning",
        f"{part} lie more than {_CITY_RADIUS_M // 1000} km from the middle of the rest",
    )
    return problems


def zones_of(index: ImageIndex) -> set[str]:
    """UTM zones that the names give, such as {"30 north"}; empty where names give none."""
    if (index.root / CSV_NAME).is_file():
        return set()
    found = {(name_field(path, ZONE), name_field(path, LETTER).upper()) for path in index.paths}
    return {
        f"{zone.lstrip('0')} {'north' if letter >= 'N' else 'south'}"
        for zone, letter in found
        if zone.isdecimal() and letter
    }


def check_zones(zones: set[str], what: str) -> list[Problem]:
    """Distances hold within one zone only."""
    if len(zones) < 2:
        return []
    listed = ", ".join(sorted(zones))
    return [
        Problem(
            "warning",
            f"{what} come from {len(zones)} UTM zones ({listed}): distances between zones mean nothing",
        )
    ]


def _check_names(index: ImageIndex, part: str) -> list[Problem]:
    """Compare UTM with zone, letter, latitude and longitude of the names, on an even sample."""
    ids = np.unique(np.linspace(0, len(index) - 1, min(_SAMPLE, len(index))).astype(np.int64))
    compared, apart, wrong_letter = 0, [], []
    for i in ids.tolist():
        fields = [name_field(index.paths[i], field) for field in (ZONE, LETTER, LATITUDE, LONGITUDE)]
        if not all(fields) or not np.isfinite(index.utm_east[i] + index.utm_north[i]):
            continue
        compared += 1
        distance_m = _disagreement_m(fields, float(index.utm_east[i]), float(index.utm_north[i]))
        if not distance_m <= _AGREEMENT_M:
            apart.append((distance_m, i))
        elif utm.latitude_to_zone_letter(float(fields[2])) != fields[1].upper():
            wrong_letter.append(i)
    problems = []
    if apart:
        distance_m, worst = max(apart)
        size = f"by up to {distance_m:,.0f} m" if math.isfinite(distance_m) else "beyond any distance"
        problems.append(
            Problem(
                "warning",
                f"UTM and zone, latitude and longitude disagree {size} in {len(apart)} of {compared} sampled "
                f"names of {part}, worst {index.paths[worst]!r}",
            )
        )
    if wrong_letter:
        problems.append(
            Problem(
                "warning",
                f"the zone letter does not fit the latitude in {len(wrong_letter)} of {compared} sampled "
                f"names of {part}, first {index.paths[wrong_letter[0]]!r}",
            )
        )
    return problems


def _disagreement_m(fields: list[str], east: float, north: float) -> float:
    """Distance between both positions of a name; infinite where one of them is no position."""
    try:
        zone, latitude, longitude = int(fields[0]), float(fields[2]), float(fields[3])
        there = utm.from_latlon(latitude, longitude, force_zone_number=zone)
    except ValueError:  # OutOfRangeError is one
        return math.inf
    distance_m = math.hypot(float(there[0]) - east, float(there[1]) - north)
    return distance_m if math.isfinite(distance_m) else math.inf


def _count(index: ImageIndex, mask: NDArray[np.bool_], severity: Severity, text: str) -> list[Problem]:
    """One finding with how many images it concerns and the first of them, if any."""
    if not mask.any():
        return []
    first = index.paths[int(np.argmax(mask))]
    return [Problem(severity, f"{int(mask.sum())} of {len(index)} {text}, first {first!r}")]
