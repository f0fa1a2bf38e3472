"""McNemar's exact test: are two models equally often right on the same queries?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom


@dataclass(frozen=True)
class McNemar:
    """The queries on which two models differ, and the two-sided p-value (0-1) of so uneven a division."""

    only_first: int
    only_second: int
    p_value: float


def mcnemar_exact(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> McNemar:
    """Test the two models' hits on the same queries, bool (q,) each (McNemar 1947, exact binomial form).

    Under the null hypothesis a query on which just one is right is a fair coin. Queries are taken as
    independent; photos of one place are not, so read it beside the bootstrap by place.

    Raises:
        ValueError: shapes differ.
    """
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(
            f"hits must be two vectors over the same queries, got {first.shape} and {second.shape}"
        )
    only_first = int((first & ~second).sum())
    only_second = int((~first & second).sum())
    fewer, differing = min(only_first, only_second), only_first + only_second
    # The fair coin is symmetric: both tails are twice the lower one, which passes 1 when they overlap.
    p_value = min(1.0, 2.0 * float(binom.cdf(fewer, differing, 0.5))) if differing else 1.0
    return McNemar(only_first=only_first, only_second=only_second, p_value=p_value)


def smallest_detectable_difference(
    num_queries: int, differing_fraction: float, *, alpha: float = 0.05, power: float = 0.8
) -> float:
    """The least true difference of recall (0-1) that this test would find with the given power.

    The power is that of the exact test itself and not of its normal approximation (Connor, Biometrics 1987),
    which promises too much where few queries differ: m of the queries differ with binomial probability, and
    given m so many of them are won that the p-value is at most `alpha`. A difference needs as many differing
    queries, so where the given fraction is below it, all that differ are taken to be won.

    Args:
        num_queries: q, at least 1.
        differing_fraction: the part of the queries on which just one model is right, 0-1.
        alpha: two-sided error rate of the test.
        power: the probability of finding it, above one half.

    Returns:
        The difference; infinity where these queries cannot show any (fewer than 6 at 5%).

    Raises:
        ValueError: an argument outside its range.
    """
    if num_queries < 1 or not 0 <= differing_fraction <= 1 or not 0 < alpha < 1 or not 0.5 < power < 1:
        raise ValueError(
            "num_queries >= 1, 0 <= differing_fraction <= 1, 0 < alpha < 1, 0.5 < power < 1 must hold, "
            f"got {num_queries}, {differing_fraction}, {alpha}, {power}"
        )
    low, high = 0.0, 1.0
    if _power(high, num_queries, differing_fraction, alpha) < power:
        return math.inf
    while high - low > min(1e-4, 0.01 / num_queries):
        middle = (low + high) / 2
        if _power(middle, num_queries, differing_fraction, alpha) < power:
            low = middle
        else:
            high = middle
    return high


def _power(difference: float, num_queries: int, differing_fraction: float, alpha: float) -> float:
    """Probability that the exact test finds a true `difference`, in its direction."""
    differing = max(differing_fraction, difference)
    if differing == 0.0:
        return 0.0
    tail = 1e-7
    counts = np.arange(
        int(binom.ppf(tail, num_queries, differing)), int(binom.isf(tail, num_queries, differing)) + 1
    )
    most_lost = _most_lost(counts, alpha)
    lost_share = (differing - difference) / (2.0 * differing)
    found = binom.cdf(most_lost, counts, lost_share)
    return float((binom.pmf(counts, num_queries, differing) * found)[most_lost >= 0].sum())


def _most_lost(counts: NDArray[np.int64], alpha: float) -> NDArray[np.int64]:
    """Of so many differing queries, how many the better model may lose at p <= alpha; -1 where none."""
    most = binom.ppf(alpha / 2.0, counts, 0.5).astype(np.int64)
    return np.asarray(np.where(binom.cdf(most, counts, 0.5) > alpha / 2.0, most - 1, most), dtype=np.int64)
