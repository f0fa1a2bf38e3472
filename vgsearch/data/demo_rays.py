"""One ray for each image column: what it meets first, and what rises above that further away."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vgsearch.data.demo_hash import BoolArray, FloatArray
from vgsearch.data.demo_layout import EAST, NORTH, SOUTH, WEST

_NEAREST_M = 0.6
_OUT_OF_RANGE = np.float32(np.inf)


@dataclass(frozen=True)
class Rays:
    """The columns of one photo, float32; a ray's parameter is its depth along the optical axis in metres.

    Attributes:
        origin_m: (2,), the camera's east and north.
        direction: (w, 2), east and north travelled for each metre of depth.
        right: (w,), tangent of each column's angle to the optical axis.
    """

    origin_m: FloatArray
    direction: FloatArray
    right: FloatArray


@dataclass(frozen=True)
class ColumnHits:
    """What each column meets in one layer; arrays of length w, to be ignored where `index` is -1.

    Attributes:
        index: int64, row of the box or post.
        depth_m: float32, infinite where nothing is met.
        along_m: float32, position along the wall (east or north, whichever the wall runs), or the
            signed offset from a post's middle.
        side: int64, `WEST` to `NORTH` for a box's wall, 0 for posts.
    """

    index: npt.NDArray[np.int64]
    depth_m: FloatArray
    along_m: FloatArray
    side: npt.NDArray[np.int64]


def cast_boxes(rays: Rays, boxes_m: FloatArray, rise_m: FloatArray, layers: int) -> list[ColumnHits]:
    """Intersect with axis-aligned boxes (slab method), nearest first.

    Args:
        rays: w columns.
        boxes_m: float32 (b, 4), west, south, east, north.
        rise_m: float32 (b,), each box's top above the eye: a further box only counts where it shows above.
        layers: most hits kept for a column.
    """
    step = np.where(np.abs(rays.direction) < 1e-6, np.float32(1e-6), rays.direction)
    forward = step > 0
    near, far = [], []
    for axis, (low, high) in enumerate(((WEST, EAST), (SOUTH, NORTH))):
        low_m = (boxes_m[:, low] - rays.origin_m[axis]) / step[:, axis, None]
        high_m = (boxes_m[:, high] - rays.origin_m[axis]) / step[:, axis, None]
        near.append(np.minimum(low_m, high_m))
        far.append(np.maximum(low_m, high_m))
    entry = np.maximum(near[0], near[1])
    met = (entry < np.minimum(far[0], far[1])) & (entry > _NEAREST_M)
    depth = np.where(met, entry, _OUT_OF_RANGE)
    near_east = near[0] > near[1]
    columns = np.arange(len(step))
    slope = np.where(met, rise_m / np.maximum(depth, _NEAREST_M), -_OUT_OF_RANGE)
    hits = []
    for _ in range(layers if len(boxes_m) else 0):
        index = depth.argmin(axis=1)
        depth_m = depth[columns, index]
        missed = np.isinf(depth_m)
        if missed.all():
            break
        through_east = near_east[columns, index]
        side = np.where(
            through_east, np.where(forward[:, 0], WEST, EAST), np.where(forward[:, 1], SOUTH, NORTH)
        )
        reach = np.where(missed, np.float32(0), depth_m)
        along = np.where(
            through_east,
            rays.origin_m[1] + reach * step[:, 1],
            rays.origin_m[0] + reach * step[:, 0],
        )
        hits.append(ColumnHits(np.where(missed, -1, index), depth_m, along.astype(np.float32), side))
        depth[slope <= slope[columns, index][:, None]] = _OUT_OF_RANGE
    return hits


def cast_posts(rays: Rays, centres_m: FloatArray, radius_m: FloatArray, layers: int) -> list[ColumnHits]:
    """Meet upright round things as if each turned its face to the camera, nearest first.

    Args:
        rays: w columns.
        centres_m: float32 (p, 2).
        radius_m: float32 (p,).
        layers: most hits kept for a column.
    """
    axis = rays.direction[len(rays.direction) // 2] - rays.right[len(rays.right) // 2] * _right_axis(rays)
    relative = centres_m - rays.origin_m
    post_depth = relative @ axis
    lateral = relative @ _right_axis(rays)
    keep = np.flatnonzero((post_depth > 2 * _NEAREST_M) & (post_depth < 90))
    offset = rays.right[:, None] * post_depth[keep] - lateral[keep]
    within: BoolArray = np.abs(offset) < radius_m[keep]
    depth = np.where(within, post_depth[keep], _OUT_OF_RANGE)
    columns = np.arange(len(rays.right))
    hits = []
    for _ in range(layers if len(keep) else 0):
        nearest = depth.argmin(axis=1)
        depth_m = depth[columns, nearest].astype(np.float32)
        missed = np.isinf(depth_m)
        if missed.all():
            break
        along = offset[columns, nearest].astype(np.float32)
        side = np.zeros(len(columns), np.int64)
        hits.append(ColumnHits(np.where(missed, -1, keep[nearest]), depth_m, along, side))
        depth[columns, nearest] = _OUT_OF_RANGE
    return hits


def _right_axis(rays: Rays) -> FloatArray:
    """The unit vector that points right in the photo: neighbouring columns differ by it."""
    span = rays.direction[-1] - rays.direction[0]
    right: FloatArray = span / (rays.right[-1] - rays.right[0])
    return right
