"""Counter-style randomness of the demo city: a value is a function of its integer keys alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
HashArray = npt.NDArray[np.uint32]
Keys = npt.NDArray[np.integer] | int


def hash_keys(*keys: Keys) -> HashArray:
    """Mix integer arrays (broadcast against each other) into uint32 of the broadcast shape.

    The rounds are the finalizer of MurmurHash3 (Appleby, public domain), one per key.
    """
    mixed = np.full((1,), 0x9E3779B9, np.uint32)
    for key in keys:
        word = np.array([key & 0xFFFFFFFF]) if isinstance(key, int) else key
        mixed = mixed ^ word.astype(np.uint32)
        mixed *= np.uint32(0x85EBCA6B)
        mixed ^= mixed >> np.uint32(13)
        mixed *= np.uint32(0xC2B2AE35)
        mixed ^= mixed >> np.uint32(16)
    return mixed


def unit(hashes: HashArray, field: int = 0) -> FloatArray:
    """One of four independent values in [0, 1) from each hash, 8 bits deep; `field` is 0 to 3."""
    return ((hashes >> np.uint32(8 * field)) & np.uint32(0xFF)).astype(np.float32) * np.float32(1 / 256)


def floor_int(values: FloatArray) -> npt.NDArray[np.int32]:
    """Floor to int32, which is what `hash_keys` takes."""
    return np.floor(values).astype(np.int32)


def fraction(values: FloatArray) -> FloatArray:
    """What is left above the floor, in [0, 1): thirty times as fast as `np.mod(values, 1)`."""
    return values - np.floor(values)


def value_noise(x: FloatArray, y: FloatArray, salt: int) -> FloatArray:
    """Smooth noise in [0, 1) over the plane: hashed lattice values, blended with the smoothstep weight."""
    cell_x, cell_y = floor_int(x), floor_int(y)
    along_x, along_y = fraction(x), fraction(y)
    along_x = along_x * along_x * (3 - 2 * along_x)
    along_y = along_y * along_y * (3 - 2 * along_y)
    lower = unit(hash_keys(cell_x, cell_y, salt))
    lower = lower + along_x * (unit(hash_keys(cell_x + 1, cell_y, salt)) - lower)
    upper = unit(hash_keys(cell_x, cell_y + 1, salt))
    upper = upper + along_x * (unit(hash_keys(cell_x + 1, cell_y + 1, salt)) - upper)
    blended: FloatArray = (lower + along_y * (upper - lower)).astype(np.float32)
    return blended
