"""McNemar's exact test: are two models equally often right on the same queries?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, norm


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
    """The least true difference of recall (0-1) that McNemar's test would find with the given power.

    Solves Connor's sample size (Biometrics 1987) for the difference: sqrt(q) delta = z_a sqrt(psi) +
    z_b sqrt(psi - delta^2). It is never below the difference at which an exact test can reach `alpha` at
    all (6 queries, all one way, for 5%).

    Args:
        num_queries: q, at least 1.
        differing_fraction: psi, the part of the queries on which just one model is right, 0-1.
        alpha: two-sided error rate of the test.
        power: the probability of finding it, above one half.

    Raises:
        ValueError: an argument outside its range.
    """
    if num_queries < 1 or not 0 <= differing_fraction <= 1 or not 0 < alpha < 1 or not 0.5 < power < 1:
        raise ValueError(
            "num_queries >= 1, 0 <= differing_fraction <= 1, 0 < alpha < 1, 0.5 < power < 1 must hold, "
            f"got {num_queries}, {differing_fraction}, {alpha}, {power}"
        )
    q, psi = float(num_queries), differing_fraction
    z_a, z_b = float(norm.ppf(1 - alpha / 2)), float(norm.ppf(power))
    root = q * psi * z_a**2 - (q + z_b**2) * psi * (z_a**2 - z_b**2)
    delta = (z_a * math.sqrt(q * psi) + math.sqrt(max(0.0, root))) / (q + z_b**2)
    fewest = math.ceil(1 - math.log2(alpha))  # 2 * 0.5**m <= alpha
    return min(1.0, max(delta, fewest / q))
