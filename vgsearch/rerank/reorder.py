"""New orders of what a search found: the first n by their scores, the rest as it was."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def reorder(candidates: NDArray[np.int64], scores: NDArray[np.float32], n: int) -> NDArray[np.int64]:
    """Put the first `n` candidates of each query in the order of their scores.

    One matrix of scores serves every n up to its width.

    Args:
        candidates: Rows of the database, nearest first, int64 (q, k).
        scores: The higher the more alike, float32 (q, m), m >= n; of equal ones the nearer comes first.
        n: At least 1.

    Returns:
        int64 (q, k).

    Raises:
        ValueError: There are fewer candidates or scores than `n`.
    """
    if not 1 <= n <= min(candidates.shape[1], scores.shape[1]):
        raise ValueError(
            f"1 <= n <= candidates and scores must hold, got {n=}, {candidates.shape=}, {scores.shape=}"
        )
    order = np.argsort(-scores[:, :n], axis=1, kind="stable")
    first = np.take_along_axis(candidates[:, :n], order, axis=1)
    return np.concatenate([first, candidates[:, n:]], axis=1)
