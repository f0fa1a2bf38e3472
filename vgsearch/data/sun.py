"""Whether the sun was down: from a date, a clock and a place, by the almanac formulas of Spencer (1971)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SUNSET_ZENITH_DEG = 90.833
"""The sun's centre at sunrise and sunset: half a degree of refraction and a quarter of disc below 90."""


def is_night(
    day_of_year: Floats, hour: Floats, latitude_deg: Floats, longitude_deg: Floats, utc_offset_h: Floats
) -> NDArray[np.bool_]:
    """Whether each moment lies between sunset and sunrise; right to about two minutes.

    Args:
        day_of_year: 1 for the first of January, float64 (n,).
        hour: the local clock, 18.5 for half past six in the evening, float64 (n,).
        latitude_deg: north positive, float64 (n,).
        longitude_deg: east positive, float64 (n,).
        utc_offset_h: the local clock minus UTC, float64 (n,).

    Returns:
        bool (n,). Where the sun does not set, none is night.
    """
    zenith_deg = solar_zenith_deg(day_of_year, hour, latitude_deg, longitude_deg, utc_offset_h)
    return np.asarray(zenith_deg > SUNSET_ZENITH_DEG)


def solar_zenith_deg(
    day_of_year: Floats, hour: Floats, latitude_deg: Floats, longitude_deg: Floats, utc_offset_h: Floats
) -> Floats:
    """Angle between the zenith and the sun's centre, without refraction; arguments as of `is_night`."""
    year = 2 * np.pi / 365 * (day_of_year - 1 + (hour - 12) / 24)
    cosines = [np.cos(k * year) for k in (1, 2, 3)]
    sines = [np.sin(k * year) for k in (1, 2, 3)]
    # Spencer, "Fourier series representation of the position of the sun", Search 2(5), 1971.
    equation_of_time_min = 229.18 * (
        0.000075 + 0.001868 * cosines[0] - 0.032077 * sines[0] - 0.014615 * cosines[1] - 0.040849 * sines[1]
    )
    declination = (
        0.006918
        - 0.399912 * cosines[0]
        + 0.070257 * sines[0]
        - 0.006758 * cosines[1]
        + 0.000907 * sines[1]
        - 0.002697 * cosines[2]
        + 0.00148 * sines[2]
    )
    solar_hour = hour - utc_offset_h + longitude_deg / 15 + equation_of_time_min / 60
    hour_angle = np.radians(15 * (solar_hour - 12))
    latitude = np.radians(latitude_deg)
    cosine = np.sin(latitude) * np.sin(declination)
    cosine = cosine + np.cos(latitude) * np.cos(declination) * np.cos(hour_angle)
    zenith_deg: Floats = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return zenith_deg


def nautical_utc_offset_h(longitude_deg: Floats) -> Floats:
    """The clock's zone by longitude alone, in whole hours: what Tokyo keeps, and San Francisco in winter."""
    hours: Floats = np.round(longitude_deg / 15)
    return hours
