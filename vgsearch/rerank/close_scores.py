"""Which scores of fewer digits leave an order open."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Of a normal error; the difference of two scores exceeds it in 3 of 1000 cases where they are equal.
_DEVIATIONS = 3.0

Scores = NDArray[np.float32]


def error_spread(rough: Scores, exact: Scores) -> tuple[float, float]:
    """Mean and standard deviation of the errors of m >= 2 scores; float32 (m,) each."""
    errors = rough.astype(np.float64) - exact
    return float(errors.mean()), float(errors.std(ddof=1))


def in_doubt(scores: Scores, deviation: float) -> NDArray[np.bool_]:
    """Find the scores that lie so near another one of their row that errors may have changed their order.

    Args:
        scores: float32 (q, k); what is not finite is never in doubt.
        deviation: Standard deviation of one score's error.

    Returns:
        (q, k): whether any other score of the row is within three standard deviations of a difference,
        which is sqrt(2) as large as of one score. Two scores that are not both in doubt are in order.
    """
    order = np.argsort(-scores, axis=1, kind="stable")
    ordered = np.take_along_axis(scores, order, axis=1).astype(np.float64)
    with np.errstate(invalid="ignore"):
        close = ordered[:, :-1] - ordered[:, 1:] <= _DEVIATIONS * np.sqrt(2.0) * deviation
    close &= np.isfinite(ordered[:, :-1]) & np.isfinite(ordered[:, 1:])
    doubtful = np.zeros(scores.shape, dtype=np.bool_)
    doubtful[:, :-1] |= close
    doubtful[:, 1:] |= close
    result = np.zeros_like(doubtful)
    np.put_along_axis(result, order, doubtful, axis=1)
    return result
