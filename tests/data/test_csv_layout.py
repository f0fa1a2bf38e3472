from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import utm
from hypothesis import given
from hypothesis import strategies as st

from vgsearch.data.csv_layout import UtmZone, read_csv_layout, to_utm
from vgsearch.data.index import index_folder
from vgsearch.errors import DataError


def write(folder: Path, text: str, *, images: tuple[str, ...] = ("a.jpg", "b/c.jpg")) -> Path:
    for image in images:
        (folder / image).parent.mkdir(parents=True, exist_ok=True)
        (folder / image).write_bytes(image.encode())
    (folder / "images.csv").write_text(text, encoding="utf-8")
    return folder


def test_metres_and_heading_sorted_by_path(tmp_path: Path) -> None:
    write(tmp_path, "path,utm_east,utm_north,heading\nb/c.jpg,12.5,4480000.10,90\na.jpg,13,4480001,\n")
    index = index_folder(tmp_path)
    assert index.paths == ("a.jpg", "b/c.jpg")
    assert index.utm_east.tolist() == [13, 12.5]
    assert index.utm_north.tolist() == [4480001, 4480000.10]
    assert np.isnan(index.heading_deg[0])
    assert index.heading_deg[1] == 90
    assert index.size_bytes is not None
    assert index.size_bytes.tolist() == [5, 7]


def test_the_csv_wins_over_names_and_other_columns_are_ignored(tmp_path: Path) -> None:
    name = "@0445400.00@4480050.40@30@T@@@@@000@@@@@@.jpg"
    text = f'\ufeffcity, PATH ,utm_north,utm_east\n"Madrid, ES",{name},2,1\n\n'
    index = index_folder(write(tmp_path, text, images=(name, "unlisted.jpg")))
    assert index.paths == (name,)
    assert (index.utm_east[0], index.utm_north[0]) == (1, 2)
    assert np.isnan(index.heading_deg[0])


def test_degrees_become_metres_as_utm_converts_each_alone(tmp_path: Path) -> None:
    write(tmp_path, "path,lat,lon\na.jpg,40.47,-3.68\nb/c.jpg,40.48,-3.67\n")
    layout = read_csv_layout(tmp_path)
    for column, position in enumerate([(40.47, -3.68), (40.48, -3.67)]):
        east, north, number, _ = utm.from_latlon(*position)
        assert layout.table[:2, column] == pytest.approx([east, north], abs=1e-6)
    assert layout.zone == UtmZone(number, northern=True)


def test_distances_hold_across_a_border_of_zones_and_the_equator(tmp_path: Path) -> None:
    # 0.0002 degrees are 22 m in each direction here; the pair lies in zones 30 and 31, south and north.
    write(tmp_path, "path,lat,lon\na.jpg,-0.0001,-0.0001\nb/c.jpg,0.0001,0.0001\n")
    layout = read_csv_layout(tmp_path)
    step = layout.table[:2, 1] - layout.table[:2, 0]
    assert step == pytest.approx([22.26, 22.11], abs=0.05)
    assert layout.zone == UtmZone(30, northern=False)


def test_a_given_zone_is_used(tmp_path: Path) -> None:
    write(tmp_path, "path,lat,lon\na.jpg,40.0,0.001\nb/c.jpg,40.0,0.002\n")
    layout = read_csv_layout(tmp_path, UtmZone(30, northern=True))
    east, north, _, _ = utm.from_latlon(40.0, 0.001, force_zone_number=30)
    assert layout.table[:2, 0] == pytest.approx([east, north], abs=1e-6)
    assert layout.zone == UtmZone(30, northern=True)


def test_positions_may_be_unknown(tmp_path: Path) -> None:
    write(tmp_path, "path,lat,lon\na.jpg,,\nb/c.jpg,,\n")
    layout = read_csv_layout(tmp_path)
    assert np.isnan(layout.table).all()
    assert layout.zone is None


def krueger(latitude: float, longitude: float, middle: float) -> tuple[float, float]:
    """UTM north of the equator by Krueger's series to the sixth order, as in Karney (J. Geodesy 2011)."""
    radius, flattening = 6378137.0, 1 / 298.257223563
    n = flattening / (2 - flattening)
    scaled = 0.9996 * radius / (1 + n) * (1 + n**2 / 4 + n**4 / 64 + n**6 / 256)
    alpha = [
        n / 2 - 2 * n**2 / 3 + 5 * n**3 / 16 + 41 * n**4 / 180 - 127 * n**5 / 288 + 7891 * n**6 / 37800,
        13 * n**2 / 48 - 3 * n**3 / 5 + 557 * n**4 / 1440 + 281 * n**5 / 630 - 1983433 * n**6 / 1935360,
        61 * n**3 / 240 - 103 * n**4 / 140 + 15061 * n**5 / 26880 + 167603 * n**6 / 181440,
        49561 * n**4 / 161280 - 179 * n**5 / 168 + 6601661 * n**6 / 7257600,
        34729 * n**5 / 80640 - 3418889 * n**6 / 1995840,
        212378941 * n**6 / 319334400,
    ]
    eccentricity = 2 * math.sqrt(n) / (1 + n)
    sine, angle = math.sin(math.radians(latitude)), math.radians(longitude - middle)
    t = math.sinh(math.atanh(sine) - eccentricity * math.atanh(eccentricity * sine))
    xi, eta = math.atan2(t, math.cos(angle)), math.atanh(math.sin(angle) / math.hypot(1, t))
    east = eta + sum(a * math.cos(2 * k * xi) * math.sinh(2 * k * eta) for k, a in enumerate(alpha, start=1))
    north = xi + sum(a * math.sin(2 * k * xi) * math.cosh(2 * k * eta) for k, a in enumerate(alpha, start=1))
    return 500000 + scaled * east, scaled * north


@given(
    st.lists(st.tuples(st.floats(0, 83), st.floats(-9, 9)), min_size=1, max_size=20),
    st.integers(1, 60),
)
def test_degrees_become_metres_as_by_an_independent_series(
    places: list[tuple[float, float]], number: int
) -> None:
    latitude = np.array([place[0] for place in places])
    zone = UtmZone(number, northern=True)
    longitude = np.array([zone.middle_deg + place[1] for place in places])
    longitude = (longitude + 180) % 360 - 180  # zones 1 and 60 reach across the date line
    east, north, said = to_utm(latitude, longitude, zone)
    assert said == zone
    for i, (lat, offset) in enumerate(places):
        expected = krueger(lat, zone.middle_deg + offset, zone.middle_deg)
        # A millimetre inside the zone; at the far edge of its neighbour the library is 0.3 m off.
        assert (east[i], north[i]) == pytest.approx(expected, abs=1e-3 if abs(offset) < 3 else 0.3)


def test_a_set_reaches_into_the_neighbour_zones_and_no_further(tmp_path: Path) -> None:
    write(tmp_path, "path,lat,lon\na.jpg,35.6,139.7\nb/c.jpg,35.6,149.9\n")  # zones 54 and 55
    assert read_csv_layout(tmp_path).zone == UtmZone(54, northern=True)
    write(tmp_path, "path,lat,lon\na.jpg,35.6,139.7\nb/c.jpg,37.8,-122.4\n")
    with pytest.raises(DataError) as caught:
        read_csv_layout(tmp_path)
    assert "images.csv:3: lon -122.4 lies 97 degrees from the middle of UTM zone 54 north" in str(
        caught.value
    )
    assert "keep far cities in sets of their own" in str(caught.value)


def test_the_date_line_parts_no_set(tmp_path: Path) -> None:
    write(tmp_path, "path,lat,lon\na.jpg,-17.0,179.9999\nb/c.jpg,-17.0,-179.9999\n")
    layout = read_csv_layout(tmp_path)
    assert layout.zone == UtmZone(60, northern=False)
    assert layout.table[0, 1] - layout.table[0, 0] == pytest.approx(21.3, abs=0.1)


def test_the_fingerprint_follows_the_coordinates(tmp_path: Path) -> None:
    first = index_folder(write(tmp_path, "path,utm_east,utm_north\na.jpg,1,2\n")).fingerprint
    assert index_folder(tmp_path).fingerprint == first
    (tmp_path / "images.csv").write_text("path,utm_east,utm_north\na.jpg,1,3\n")
    assert index_folder(tmp_path).fingerprint != first


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no lat, lon, path"),
        ("path,utm_east\na.jpg,1\n", "has no utm_north"),
        ("path,lat,lon\n", "lists no image"),
        ("path,lat,lon\na.jpg,1\n", "images.csv:2: 2 cells, but the header has 3"),
        ("path,lat,lon\na.jpg,1,2\n\na.jpg,1,2\n", "images.csv:4: a.jpg is listed already on line 2"),
        ("path,lat,lon\na.jpg,1,2\n./a.jpg,1,2\n", "images.csv:3: a.jpg is listed already on line 2"),
        ("path,lat,lon\n../a.jpg,1,2\n", "must be relative and stay in the folder"),
        ("path,lat,lon\n/etc/a.jpg,1,2\n", "must be relative and stay in the folder"),
        ("path,lat,lon\n,1,2\n", "must be relative and stay in the folder"),
        ("path,lat,lon\na.jpg,north,2\n", "images.csv:2: lat must be a number or empty, got 'north'"),
        ("path,utm_east,utm_north\na.jpg,inf,2\n", "images.csv:2: utm_east must be a number"),
        ("path,utm_east,utm_north,heading\na.jpg,1,2,N\n", "images.csv:2: heading must be a number"),
        ("path,lat,lon\na.jpg,91,2\n", "images.csv:2: lat must lie between -80 and 84 degrees"),
        ("path,lat,lon\na.jpg,1,181\n", "images.csv:2: lon must lie between -180 and 180 degrees"),
        ("path,lat,lon\nx.jpg,1,2\na.jpg,1,2\ny.jpg,1,2\n", "2 of 3 images that are not there, first x.jpg"),
    ],
)
def test_what_is_not_in_order_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        index_folder(write(tmp_path, text))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "images.csv").write_bytes(b"path,lat,lon\n\xff.jpg,1,2\n")
    with pytest.raises(DataError, match="cannot be read as CSV in UTF-8"):
        index_folder(tmp_path)
