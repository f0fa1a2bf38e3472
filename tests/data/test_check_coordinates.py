from __future__ import annotations

from pathlib import Path

import numpy as np

from vgsearch.data.check_coordinates import check_coordinates, check_zones, zones_of
from vgsearch.data.index import ImageIndex
from vgsearch.data.names import parse_names, utm_name


def index(*names: str) -> ImageIndex:
    parsed = parse_names(names)
    return ImageIndex(
        Path("/photos"), names, parsed.utm_east, parsed.utm_north, np.array(parsed.heading_deg), "f"
    )


def findings(*names: str) -> list[str]:
    return [f"{problem.severity}: {problem.text}" for problem in check_coordinates(index(*names), "images")]


def sound(east: float = 445400, *, zone: int = 30, letter: str = "T", heading: float = 90) -> str:
    return utm_name(east, 4480000, zone=zone, letter=letter, heading_deg=heading)


def test_sound_names_raise_nothing() -> None:
    assert findings(sound(), sound(445500), sound(446000)) == []


def test_swapped_fields_lie_outside_utm() -> None:
    swapped = "@4480000.00@0445400.00@30@T@@@p@@090@@@@@@.jpg"
    found = findings(sound(), sound(445500), swapped)
    assert "warning: 1 of 3 images lie outside UTM" in found[0]
    assert "1 of 3 images lie more than 100 km from the middle of the rest" in found[1]


def test_missing_coordinates() -> None:
    assert findings("a.jpg", "b.jpg") == ["error: 2 of 2 images have no UTM coordinates, first 'a.jpg'"]


def test_one_place_for_all() -> None:
    assert findings(sound(), sound(heading=120)) == ["warning: all images lie at one and the same place"]
    assert findings(sound()) == []


def test_headings_out_of_range() -> None:
    found = findings(sound(), sound(445500, heading=361))
    assert "warning: 1 of 2 images have a heading outside 0 to 360 degrees" in found[0]


def test_latitude_longitude_zone_and_letter_that_disagree() -> None:
    good = sound()
    north_of_it = good.replace("@040.", "@041.")
    broken = good.replace("@040.", "@140.")
    other_letter = good.replace("@T@", "@S@")
    assert "disagree by up to 111," in findings(good, north_of_it)[-1]
    assert "disagree beyond any distance in 1 of 2 sampled" in findings(good, broken)[-1]
    assert "zone letter does not fit the latitude in 1 of 2" in findings(good, other_letter)[-1]


def test_zones_mix() -> None:
    zones = zones_of(index(sound(), sound(zone=31, letter="T"), "@1@2@x@@.jpg"))
    assert zones == {"30 north", "31 north"}
    assert "come from 2 UTM zones (30 north, 31 north)" in check_zones(zones, "images")[0].text
    assert check_zones({"30 north"}, "images") == []
