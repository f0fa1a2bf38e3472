"""What stands between the camera and the walls: cars, trees, lamps and people, drawn from side-on shapes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vgsearch.data.demo_hash import BoolArray, FloatArray, HashArray, floor_int, hash_keys, unit
from vgsearch.data.demo_layout import EAST, LAMP, PERSON, TREE, WEST, Posts
from vgsearch.data.demo_rays import ColumnHits
from vgsearch.data.demo_surface import Surface, linear_colours

CAR_LENGTH_M = 4.4
CAR_WIDTH_M = 1.8
CAR_HEIGHT_M = 1.48

_PAINTS = "d8d8d8 2a2c30 8f9499 f2f2f0 7a1f24 23405f 3d5a45 c9a227 5a5f66 a63d2f 1d5c63"
_LEAVES = "4e7a3a 5f8f3f 3f6b45 7c9a4b 6b7f33 a08a3a"
_CLOTHES = "2b3a55 8c2f2f 3f3f3f c8b48a 4f6d5a d9d4cc b06a2c 59456b"
_SINGLES = "18181a 2c3740 fff3d0 c01818 b8bcc0 5a4636 33363a fff0c8 c9987a"
OBJECT_PALETTE = linear_colours(" ".join((_SINGLES, _PAINTS, _LEAVES, _CLOTHES)))
_TYRE, _PANE, _HEADLIGHT, _TAILLIGHT, _CHROME, _BARK, _IRON, _GLOBE, _SKIN = range(9)
_FIRST_PAINT, _NUM_PAINTS = 9, len(_PAINTS.split())
_FIRST_LEAF, _NUM_LEAVES = _FIRST_PAINT + _NUM_PAINTS, len(_LEAVES.split())
_FIRST_CLOTH, _NUM_CLOTHES = _FIRST_LEAF + _NUM_LEAVES, len(_CLOTHES.split())


@dataclass(frozen=True)
class Sprite:
    """One layer of objects, (h, w).

    Attributes:
        covers: bool, where an object hides what is behind.
        surface: its pixels, with rows of `OBJECT_PALETTE`.
    """

    covers: BoolArray
    surface: Surface


def draw_cars(
    boxes_m: FloatArray, keys: npt.NDArray[np.int64], hits: ColumnHits, height_m: FloatArray, *, night: bool
) -> Sprite:
    """Draw the cars that w columns meet: bonnet, cabin with panes, wheels, lights.

    Args:
        boxes_m: float32 (c, 4), west, south, east and north of each car.
        keys: int64 (c,), seeds of colour and direction.
        hits: one layer of `cast_boxes`.
        height_m: float32 (h, w), height above the ground at the car's distance.
        night: whether the lights are on.
    """
    car = np.maximum(hits.index, 0)
    box = boxes_m[car]
    looks = hash_keys(keys[car])
    runs_north = (hits.side == WEST) | (hits.side == EAST)
    length = np.where(runs_north, box[:, 3] - box[:, 1], box[:, 2] - box[:, 0])
    part = (hits.along_m - np.where(runs_north, box[:, 1], box[:, 0])) / length
    part = np.where(unit(looks, 1) < 0.5, part, 1 - part)
    broadside = length > 3
    bonnet_m = np.where(broadside, np.float32(0.85), np.float32(0.9))
    roofward = np.minimum((part - 0.18) / 0.14, (0.95 - part) / 0.1)
    roofward = np.where(broadside, roofward, (0.5 - np.abs(part - 0.5)) / 0.12)
    top_m = bonnet_m + np.clip(roofward, 0, 1) * (CAR_HEIGHT_M - bonnet_m)

    paint = (_FIRST_PAINT + looks % np.uint32(_NUM_PAINTS)).astype(np.uint8)
    lamp = ~broadside & (np.abs(np.abs(part - 0.5) - 0.38) < 0.09) & (np.abs(height_m - 0.68) < 0.1)
    surface = Surface(
        material=np.broadcast_to(paint, height_m.shape).copy(),
        shade=np.ones(height_m.shape, np.float32),
        glow=(lamp & (unit(looks, 3) < 0.35) & night).astype(np.float32),
    )
    pillar = broadside & (np.abs(part - 0.56) < 0.02)
    glazed = (roofward > 0.3) & ~pillar
    surface.paint((height_m > bonnet_m + 0.04) & (height_m < top_m - 0.1) & glazed, _PANE)
    surface.paint(height_m < 0.28, _TYRE)
    wheel_m = np.minimum(np.abs(part - 0.18), np.abs(part - 0.82)) * length
    off_hub = wheel_m**2 + (height_m - np.float32(0.33)) ** 2
    surface.paint(broadside & (off_hub < 0.36**2), _TYRE)
    surface.paint(broadside & (off_hub < 0.17**2), _CHROME)
    facing = unit(looks, 2) < 0.5
    surface.paint(lamp & facing, _HEADLIGHT)
    surface.paint(lamp & ~facing, _TAILLIGHT)
    return Sprite((height_m > 0) & (height_m < top_m) & (hits.index >= 0), surface)


def draw_posts(posts: Posts, hits: ColumnHits, height_m: FloatArray, *, night: bool) -> Sprite:
    """Draw the trees, lamps and people that w columns meet.

    Args:
        posts: all of them.
        hits: one layer of `cast_posts`.
        height_m: float32 (h, w), height above the ground at the post's distance.
        night: whether lamps shine.
    """
    post = np.maximum(hits.index, 0)
    kind, tall_m = posts.kind[post], posts.height_m[post]
    looks = hash_keys(posts.key[post])
    off_m = hits.along_m
    tree = kind == TREE
    crown = _crown(looks, off_m, posts.radius_m[post], tall_m, height_m) & tree
    trunk = (np.abs(off_m) < 0.05 * posts.radius_m[post] + 0.04) & (height_m < tall_m * 0.7) & tree
    leaf = unit(hash_keys(looks, floor_int(off_m * 5), floor_int(height_m * 5)))
    sunlit = (
        np.float32(0.45) + np.float32(0.8) * leaf + np.float32(0.06) * (height_m - tall_m * np.float32(0.6))
    )

    lamp = kind == LAMP
    pole = lamp & (np.abs(off_m) < 0.07) & (height_m < tall_m)
    globe = lamp & (off_m**2 + (height_m - tall_m + np.float32(0.25)) ** 2 < 0.27**2)

    surface = Surface(
        material=np.full(height_m.shape, _BARK, np.uint8),
        shade=np.where(crown, sunlit, np.float32(1)),
        glow=np.where(globe & night, np.float32(1.4), np.float32(0)),
    )
    leaves = (_FIRST_LEAF + looks % np.uint32(_NUM_LEAVES)).astype(np.uint8)
    np.copyto(surface.material, leaves, where=crown)
    surface.paint(pole, _IRON)
    surface.paint(globe, _GLOBE)

    person = kind == PERSON
    head = person & (off_m**2 + (height_m - tall_m + np.float32(0.13)) ** 2 < 0.13**2)
    body = person & (np.abs(off_m) < 0.24) & (height_m < tall_m - 0.27) & (height_m > 0.75)
    legs = person & (np.abs(np.abs(off_m) - 0.1) < 0.08) & (height_m <= 0.75)
    surface.paint(head, _SKIN)
    for garment, chosen in ((body, looks), (legs, looks >> np.uint32(8))):
        cloth = (_FIRST_CLOTH + chosen % np.uint32(_NUM_CLOTHES)).astype(np.uint8)
        np.copyto(surface.material, cloth, where=garment)

    covers = (crown | trunk | globe | pole | head | body | legs) & (height_m > 0) & (hits.index >= 0)
    return Sprite(covers, surface)


def _crown(
    looks: HashArray, off_m: FloatArray, radius_m: FloatArray, tall_m: FloatArray, height_m: FloatArray
) -> BoolArray:
    """An egg of foliage with a ragged edge and a few holes."""
    reach = (off_m / radius_m) ** 2 + (
        (height_m - tall_m * np.float32(0.66)) / (tall_m * np.float32(0.34))
    ) ** 2
    ragged = unit(hash_keys(looks, floor_int(off_m * 3), floor_int(height_m * 3), 9))
    crown: BoolArray = reach + np.float32(0.45) * ragged < 1.05
    return crown
