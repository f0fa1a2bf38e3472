"""The Pareto front: what no other choice beats in one respect without losing in another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def pareto_front(costs: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Say which rows no other row dominates.

    A row dominates another if it is nowhere higher and somewhere lower. An unknown cost (NaN) counts as above
    every known one, and as equal to another unknown one: it can save no row from being dominated, and a row
    that is lowest elsewhere stays. Equal rows do not dominate each other.

    All pairs are compared at once: n * n * k bytes, 4 MB for a thousand rows of four costs.

    Args:
        costs: float64 (n, k), lower is better; negate what should be high. NaN where unknown.

    Returns:
        bool (n,).

    Raises:
        ValueError: `costs` is not a matrix.
    """
    if costs.ndim != 2:
        raise ValueError(f"costs must be (n, k), got {costs.shape}")
    known = np.where(np.isnan(costs), np.inf, costs)
    nowhere_higher = (known[:, None, :] <= known[None, :, :]).all(axis=2)
    somewhere_lower = (known[:, None, :] < known[None, :, :]).any(axis=2)
    return np.asarray(~(nowhere_higher & somewhere_lower).any(axis=0))
