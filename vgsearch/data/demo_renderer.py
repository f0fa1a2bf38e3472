"""One photo of a demo city: rays to layers, layers to colours, colours to 8-bit pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vgsearch.data.demo_facades import draw_facade, facade_columns
from vgsearch.data.demo_hash import BoolArray, FloatArray
from vgsearch.data.demo_layout import PERSON, CityLayout, Posts
from vgsearch.data.demo_light import Light
from vgsearch.data.demo_objects import (
    CAR_HEIGHT_M,
    CAR_LENGTH_M,
    CAR_WIDTH_M,
    OBJECT_PALETTE,
    Sprite,
    draw_cars,
    draw_posts,
)
from vgsearch.data.demo_poses import Pose
from vgsearch.data.demo_rays import ColumnHits, Rays, cast_boxes, cast_posts
from vgsearch.data.demo_street import GROUND_PALETTE, draw_ground, draw_sky, lamps_along, lamps_on_ground
from vgsearch.data.demo_styles import BuildingStyles, Material
from vgsearch.data.demo_surface import light_up

EYE_M = 1.7
_SIGHT_M = 190.0
_ELBOW_ROOM_M = 3.2
_OVERSAMPLING = 2
_HORIZON_TAN = 0.004
_LAYERS = 3
_WALL_LAYERS = 4


def render_photo(
    layout: CityLayout,
    styles: BuildingStyles,
    pose: Pose,
    light: Light,
    traffic: np.random.Generator,
    image_px: int,
) -> npt.NDArray[np.uint8]:
    """Take one square photo.

    Args:
        layout: the city.
        styles: the looks of its buildings.
        pose: the camera.
        light: the hour and the exposure.
        traffic: draws cars, people and sensor noise, all of which differ from photo to photo.
        image_px: side of the photo.

    Returns:
        sRGB-like values, uint8 (image_px, image_px, 3).
    """
    side = image_px * _OVERSAMPLING
    rays, rise = _camera(pose, side)
    scene = _Scene(
        rays, rise, np.empty((3, side, side), np.float32), np.full((side, side), np.inf, np.float32), light
    )
    _paint_background(scene, layout, pose)
    _paint_buildings(scene, layout, styles)
    night = light.evening is not None
    cars, car_keys = _park_cars(layout, pose, traffic)
    for hits in cast_boxes(rays, cars, np.full(len(cars), CAR_HEIGHT_M - EYE_M, np.float32), _LAYERS):
        part = _clip(scene, hits, np.float32(CAR_HEIGHT_M))
        if part is not None:
            sprite = draw_cars(cars, car_keys, part.hits, part.height_m, night=night)
            _paint_sprite(scene, part, sprite)
    posts = _add_people(layout, pose, traffic)
    for hits in cast_posts(rays, posts.centre_m, posts.radius_m, _LAYERS):
        part = _clip(scene, hits, posts.height_m[np.maximum(hits.index, 0)])
        if part is not None:
            _paint_sprite(scene, part, draw_posts(posts, part.hits, part.height_m, night=night))
    return _develop(scene.canvas, light, traffic)


@dataclass(frozen=True)
class _Scene:
    """A photo in the making: planes (3, h, w) of linear RGB, and the depth of what each pixel shows."""

    rays: Rays
    rise: FloatArray
    canvas: FloatArray
    nearest_m: FloatArray
    light: Light


@dataclass(frozen=True)
class _Part:
    """The rows and columns within which a layer can show, and what it is there."""

    rows: slice
    columns: slice
    hits: ColumnHits
    height_m: FloatArray


def _clip(
    scene: _Scene, hits: ColumnHits, top_m: FloatArray | np.float32, hidden_below: FloatArray | None = None
) -> _Part | None:
    """Cut a layer down to the rectangle in which it can show; None where it can't.

    Args:
        scene: the photo.
        hits: the layer.
        top_m: float32 (w,) or a number, how high things reach at most.
        hidden_below: float32 (w,), tangent of the elevation below which something nearer hides the layer;
            None takes the ground's.
    """
    met = np.flatnonzero(hits.index >= 0)
    columns = slice(int(met[0]), int(met[-1]) + 1)
    depth = np.where(hits.index >= 0, hits.depth_m, np.float32(1))
    highest = (top_m - np.float32(EYE_M)) / depth
    lowest = np.float32(-EYE_M) / depth if hidden_below is None else hidden_below
    shown = np.flatnonzero((scene.rise[:, 0] < highest[met].max()) & (scene.rise[:, 0] > lowest[met].min()))
    if not len(shown):
        return None
    rows = slice(int(shown[0]), int(shown[-1]) + 1)
    cut = ColumnHits(hits.index[columns], hits.depth_m[columns], hits.along_m[columns], hits.side[columns])
    return _Part(rows, columns, cut, np.float32(EYE_M) + scene.rise[rows] * depth[columns])


def _camera(pose: Pose, side: int) -> tuple[Rays, FloatArray]:
    """Rays of a pinhole camera, and the tangent of each row's elevation as float32 (h, 1)."""
    focal = side / 2 / np.tan(np.radians(pose.view_deg) / 2)
    offset = ((np.arange(side) + 0.5 - side / 2) / focal).astype(np.float32)
    heading = np.radians(pose.heading_deg)
    forward = np.array([np.sin(heading), np.cos(heading)], np.float32)
    right = np.array([np.cos(heading), -np.sin(heading)], np.float32)
    origin = np.array([pose.east_m, pose.north_m], np.float32)
    rays = Rays(origin, forward + offset[:, None] * right, offset)
    return rays, (np.float32(pose.pitch_tan) - offset)[:, None]


def _paint_background(scene: _Scene, layout: CityLayout, pose: Pose) -> None:
    """Sky above the horizon, ground below it."""
    rays, light = scene.rays, scene.light
    horizon = int(np.count_nonzero(scene.rise >= _HORIZON_TAN))
    azimuth = (np.radians(pose.heading_deg) + np.arctan(rays.right)).astype(np.float32)
    coarse = draw_sky(light, scene.rise[:horizon:_OVERSAMPLING], azimuth[::_OVERSAMPLING])
    scene.canvas[:, :horizon] = coarse.repeat(_OVERSAMPLING, 1).repeat(_OVERSAMPLING, 2)[:, :horizon]
    depth = (EYE_M / np.maximum(-scene.rise[horizon:], _HORIZON_TAN)).astype(np.float32)
    east = rays.origin_m[0] + depth * rays.direction[:, 0]
    north = rays.origin_m[1] + depth * rays.direction[:, 1]
    received = light.ground[:, None, None]
    if light.evening is not None:
        received = received + light.lamp[:, None, None] * lamps_on_ground(east, north)
    colour = light_up(draw_ground(layout, east, north), GROUND_PALETTE, received)
    scene.canvas[:, horizon:] = _haze(colour, depth, light)
    scene.nearest_m[horizon:] = depth


def _paint_buildings(scene: _Scene, layout: CityLayout, styles: BuildingStyles) -> None:
    """Up to four walls for each column, the furthest first."""
    near = _in_view(scene.rays, layout.boxes_m)
    rise_m = styles.height_m - np.float32(EYE_M)
    parts, skyline = [], None
    for hits in cast_boxes(scene.rays, layout.boxes_m[near], rise_m[near], _WALL_LAYERS):
        building = np.where(hits.index < 0, -1, near[hits.index])
        wall = ColumnHits(building, hits.depth_m, hits.along_m, hits.side)
        parts.append(_clip(scene, wall, styles.height_m[building], skyline))
        top = np.where(building < 0, -np.inf, rise_m[building] / hits.depth_m).astype(np.float32)
        skyline = top if skyline is None else np.maximum(skyline, top)
    for part in reversed(parts):
        if part is not None:
            colour, shown = _build_walls(part, layout, styles, scene.light)
            _cover(scene, part, shown, colour)


def _in_view(rays: Rays, boxes_m: FloatArray) -> npt.NDArray[np.intp]:
    """Which boxes a ray may meet within sight: those whose circumscribed circle reaches into the view."""
    radius = np.hypot(*(boxes_m[:, 2:] - boxes_m[:, :2]).T) / 2
    relative = (boxes_m[:, :2] + boxes_m[:, 2:]) / 2 - rays.origin_m
    seen = np.hypot(*relative.T) < _SIGHT_M
    for edge, turn in ((rays.direction[0], 1), (rays.direction[-1], -1)):
        outward = (relative[:, 0] * edge[1] - relative[:, 1] * edge[0]) * turn / np.hypot(*edge)
        seen &= outward > -radius
    return np.flatnonzero(seen)


def _build_walls(
    part: _Part, layout: CityLayout, styles: BuildingStyles, light: Light
) -> tuple[FloatArray, BoolArray]:
    """Colour one layer of walls, (3, h, w), and say where they stand, (h, w)."""
    front = facade_columns(layout, styles, part.hits)
    surface = draw_facade(front, styles, part.height_m, light.evening)
    received = light.wall[part.hits.side].T[:, None]
    if light.evening is not None:
        lamps = np.exp(-((part.height_m - np.float32(3.6)) ** 2) * np.float32(1 / 16))
        received = received + light.lamp[:, None, None] * (lamps * lamps_along(part.hits.along_m))
    colour = light_up(surface, styles.palette.reshape(-1, 3), received, front.style * len(Material))
    below_top = part.height_m < styles.height_m[front.style]
    return _haze(colour, part.hits.depth_m, light), below_top & (part.height_m >= 0) & (part.hits.index >= 0)


def _paint_sprite(scene: _Scene, part: _Part, sprite: Sprite) -> None:
    """Put a layer of objects where it is nearer than what is painted already."""
    light = scene.light
    shown = sprite.covers & (part.hits.depth_m < scene.nearest_m[part.rows, part.columns])
    received = (light.ground + np.float32(0.5) * light.lamp) * np.float32(0.9)
    _cover(scene, part, shown, light_up(sprite.surface, OBJECT_PALETTE, received[:, None, None]))


def _cover(scene: _Scene, part: _Part, shown: BoolArray, colour: FloatArray) -> None:
    """Write a part's colours (3, h, w) and depths where `shown`, bool (h, w)."""
    np.copyto(scene.canvas[:, part.rows, part.columns], colour, where=shown)
    np.copyto(scene.nearest_m[part.rows, part.columns], part.hits.depth_m, where=shown)


def _haze(colour: FloatArray, depth_m: FloatArray, light: Light) -> FloatArray:
    """Blend towards the horizon's colour with distance; depths broadcast against the planes."""
    clear = np.exp(-depth_m * np.float32(1 / light.haze_m))
    horizon = light.horizon[:, None, None]
    hazy: FloatArray = horizon + clear * (colour - horizon)
    return hazy


def _park_cars(
    layout: CityLayout, pose: Pose, traffic: np.random.Generator
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Cars on a third of the kerb places nearby, with a seed for the looks of each."""
    here = np.array([pose.east_m, pose.north_m], np.float32)
    apart = np.abs(layout.kerb_slots_m[:, :2] - here).max(axis=1)
    slots = layout.kerb_slots_m[(apart < 60) & (apart > _ELBOW_ROOM_M)]
    slots = slots[traffic.random(len(slots)) < 0.36]
    half = np.where(
        slots[:, 2:] > 0, (CAR_LENGTH_M / 2, CAR_WIDTH_M / 2), (CAR_WIDTH_M / 2, CAR_LENGTH_M / 2)
    )
    boxes = np.concatenate([slots[:, :2] - half, slots[:, :2] + half], axis=1).astype(np.float32)
    return boxes, traffic.integers(0, 2**31, len(boxes))


def _add_people(layout: CityLayout, pose: Pose, traffic: np.random.Generator) -> Posts:
    """The city's posts with a few passers-by around the camera, none of them right before it."""
    offset = traffic.uniform(-25, 25, (int(traffic.integers(0, 9)), 2))
    offset = offset[np.abs(offset).max(axis=1) > _ELBOW_ROOM_M]
    count = len(offset)
    place = np.array([pose.east_m, pose.north_m]) + offset
    fixed = layout.posts
    return Posts(
        centre_m=np.concatenate([fixed.centre_m, place.astype(np.float32)]),
        kind=np.concatenate([fixed.kind, np.full(count, PERSON, np.int32)]),
        radius_m=np.concatenate([fixed.radius_m, np.full(count, 0.3, np.float32)]),
        height_m=np.concatenate([fixed.height_m, traffic.uniform(1.55, 1.85, count).astype(np.float32)]),
        key=np.concatenate([fixed.key, traffic.integers(0, 2**31 - 1, count).astype(np.int32)]),
    )


def _develop(canvas: FloatArray, light: Light, traffic: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Average the oversampled pixels, expose, bend highlights, add noise, quantise."""
    rows = canvas[:, 0::2] + canvas[:, 1::2]
    linear = (rows[:, :, 0::2] + rows[:, :, 1::2]) * np.float32(0.25) * light.gain[:, None, None]
    display = np.sqrt(np.maximum(linear, 0) * 1.25 / (1 + np.float32(0.25) * linear))
    display += traffic.standard_normal(display.shape, np.float32) * np.float32(light.noise)
    pixels = (np.clip(display, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)
    return np.ascontiguousarray(pixels.transpose(1, 2, 0))
