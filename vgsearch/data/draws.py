"""Random numbers as a function of a counter: the same (seed, epoch, index) gives the same draw for ever.

Nothing is stored and nothing advances, so a draw depends neither on the batch an item falls in, nor on the
thread that handles it, nor on what was drawn before: a resumed trial repeats exactly what it would have done.

The generator is SplitMix64 (Steele, Lea & Flood, OOPSLA 2014), its finaliser being Stafford's "Mix13": the
words of the key are absorbed one after another, and every index then starts a stream of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
import numpy.typing as npt

_GAMMA = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio: SplitMix64's step
_MASK = 0xFFFFFFFFFFFFFFFF


class Salt(IntEnum):
    """What a draw is for; two purposes never share numbers. The values are part of every recorded result."""

    CLASS_ORDER = 1
    IMAGE_OF_CLASS = 2
    AUGMENT = 3
    TARGET_ORDER = 4
    TARGET_AUGMENT = 5
    TARGET_CHOICE = 6
    STYLE = 7
    STYLE_OF_SPLIT = 8
    TRANSLATION = 20
    TRANSLATION_POOL = 21
    GALLERY_SPLIT = 22
    WARP_ORDER = 23
    WARP_PAIR_ORDER = 24
    WARP_QUADRILATERALS = 25
    CLUSTER_PHOTOS = 26
    CLUSTER_POSITIONS = 27


def random_bits(key: Sequence[int], index: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.uint64]:
    """Draw `count` 64-bit words for each index.

    Args:
        key: What the draws depend on besides the index, each >= 0; here always (salt, seed, epoch, ...).
        index: int64 (b,), the items' positions within the epoch, >= 0.
        count: Words per item; a larger count leaves the first words as they are.

    Returns:
        uint64 (b, count).
    """
    state = 0
    for word in key:
        state = int(_mix(np.array([((state + _GAMMA) ^ word) & _MASK], dtype=np.uint64))[0])
    starts = _mix(np.uint64((state + _GAMMA) & _MASK) ^ np.asarray(index, dtype=np.uint64))
    steps = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_GAMMA)
    return _mix(starts[:, None] + steps[None, :])


def random_uniforms(key: Sequence[int], index: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.float64]:
    """Like `random_bits`, as float64 (b, count) uniform in [0, 1) with 53 random bits."""
    return (random_bits(key, index, count) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def random_permutation(key: Sequence[int], length: int) -> npt.NDArray[np.int64]:
    """Shuffle range(length), int64 (length,): the order in which their random words stand."""
    words = random_bits(key, np.arange(length, dtype=np.int64), 1)[:, 0]
    return np.argsort(words, kind="stable").astype(np.int64, copy=False)


def _mix(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Finalise SplitMix64, a bijection of 64-bit words; products wrap round on purpose."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
