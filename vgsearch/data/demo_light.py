"""The light of one photo: sun or night sky, lamps, and how the camera exposes for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vgsearch.data.demo_hash import FloatArray
from vgsearch.data.demo_layout import EAST, NORTH, SOUTH, WEST

NIGHT_LEVEL = 0.035
"""What night leaves of a facade's linear radiance: its square root, 19%, is what the photo shows."""


@dataclass(frozen=True)
class Light:
    """One moment and one camera setting; colours are linear RGB, float32 (3,).

    Attributes:
        evening: seed of the lit windows, None by day.
        wall: float32 (4, 3), light on the west, south, east and north walls.
        ground: light on the ground.
        zenith, horizon, cloud: sky colours.
        cloud_cover: 0 to 1.
        cloud_salt: seed of the clouds.
        haze_m: distance at which two thirds of a colour are lost to the horizon's.
        lamp: light of street lamps at their strongest; black by day.
        gain: exposure times white balance.
        noise: standard deviation added to display values in [0, 1].
    """

    evening: int | None
    wall: FloatArray
    ground: FloatArray
    zenith: FloatArray
    horizon: FloatArray
    cloud: FloatArray
    cloud_cover: float
    cloud_salt: int
    haze_m: float
    lamp: FloatArray
    gain: FloatArray
    noise: float


def draw_light(rng: np.random.Generator, *, night: bool) -> Light:
    """Draw the hour, the weather and the camera's settings."""
    exposure = float(2 ** rng.uniform(-0.5, 0.5))
    balance = _rgb(2 ** rng.uniform(-0.16, 0.16), 1.0, 2 ** rng.uniform(-0.16, 0.16))
    cover, salt = float(rng.uniform(0.25, 0.75)), int(rng.integers(2**31))
    azimuth = rng.uniform(0, 2 * np.pi)
    sun = (1.2 - cover) * _rgb(1.0, 0.93, 0.8)
    ambient = 0.42 * _rgb(0.94, 0.98, 1.06)
    facing = {WEST: -np.sin(azimuth), EAST: np.sin(azimuth), SOUTH: -np.cos(azimuth), NORTH: np.cos(azimuth)}
    wall = np.stack([ambient + sun * np.float32(max(0.0, facing[side])) for side in range(4)])
    ground = ambient + 0.5 * sun
    if not night:
        return Light(
            evening=None,
            wall=wall,
            ground=ground,
            zenith=_rgb(0.10, 0.25, 0.60) * np.float32(1.2 - 0.5 * cover),
            horizon=_rgb(0.52, 0.64, 0.78),
            cloud=_rgb(0.88, 0.89, 0.92),
            cloud_cover=cover,
            cloud_salt=salt,
            haze_m=float(rng.uniform(180, 400)),
            lamp=_rgb(0, 0, 0),
            gain=balance * np.float32(1.15 * exposure),
            noise=float(rng.uniform(0.004, 0.015)),
        )
    moon = NIGHT_LEVEL * _rgb(0.9, 0.97, 1.25)
    return Light(
        evening=int(rng.integers(2**31)),
        wall=np.tile(moon, (4, 1)),
        ground=moon,
        zenith=_rgb(0.001, 0.0015, 0.004),
        horizon=_rgb(0.008, 0.008, 0.014),
        cloud=_rgb(0.004, 0.004, 0.007),
        cloud_cover=cover,
        cloud_salt=salt,
        haze_m=500.0,
        lamp=float(rng.uniform(0.12, 0.26)) * _rgb(1.0, 0.72, 0.42),
        gain=balance * np.float32(exposure),
        noise=float(rng.uniform(0.03, 0.06)),
    )


def _rgb(red: float, green: float, blue: float) -> FloatArray:
    return np.array([red, green, blue], np.float32)
