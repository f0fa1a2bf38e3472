"""Against sunrise and sunset of published almanacs, to five minutes."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from vgsearch.data.sun import is_night, nautical_utc_offset_h

TOKYO, SAN_FRANCISCO, SYDNEY = (35.68, 139.77, 9.0), (37.77, -122.42, -8.0), (-33.87, 151.21, 10.0)


@pytest.mark.parametrize(
    ("place", "day", "sunrise", "sunset"),
    [
        (TOKYO, date(2014, 6, 21), "04:25", "19:00"),
        (TOKYO, date(2014, 12, 22), "06:47", "16:32"),
        (TOKYO, date(2014, 3, 21), "05:45", "17:53"),
        (SAN_FRANCISCO, date(2014, 1, 1), "07:25", "17:01"),
        (SYDNEY, date(2014, 6, 21), "07:00", "16:54"),
    ],
)
def test_night_begins_at_sunset_and_ends_at_sunrise(
    place: tuple[float, float, float], day: date, sunrise: str, sunset: str
) -> None:
    minutes = [int(text[:2]) * 60 + int(text[3:]) for text in (sunrise, sunset)]
    clock = np.array([[minutes[0] - 5, minutes[0] + 5], [minutes[1] - 5, minutes[1] + 5]]).ravel() / 60
    latitude, longitude, offset = (np.full(4, value) for value in place)
    day_of_year = np.full(4, float(day.timetuple().tm_yday))
    night = is_night(day_of_year, clock, latitude, longitude, offset)
    assert night.tolist() == [True, False, False, True]


def test_the_midnight_sun_does_not_set() -> None:
    hours = np.arange(24.0)
    bodo = is_night(np.full(24, 172.0), hours, np.full(24, 68.0), np.full(24, 15.0), np.full(24, 1.0))
    assert not bodo.any()
    assert is_night(np.full(24, 355.0), hours, np.full(24, 70.0), np.full(24, 15.0), np.full(24, 1.0)).all()


def test_the_clock_of_a_longitude() -> None:
    assert nautical_utc_offset_h(np.array([139.7, -122.4, 0.1, -0.1, 2.0])).tolist() == [9, -8, 0, 0, 0]
