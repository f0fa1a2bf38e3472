"""Is one configuration better than another, given how much each varies from seed to seed?"""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy.stats import ttest_ind

ALPHA = 0.05


def welch_p_value(
    first: Sequence[float], second: Sequence[float], *, num_comparisons: int = 1
) -> float | None:
    """Welch's t-test of two means of unequal variances (Biometrika 1947), two-sided.

    It takes the numbers of each side as independent draws of a normal distribution: one number a seed, the
    searched number left out, for it was selected. With three seeds a side it finds only leads of several
    standard deviations, and its verdict is about these val queries, not about others.

    Args:
        first: one number a seed.
        second: likewise, of another configuration.
        num_comparisons: tests that are made together; the p-value is multiplied by it (Bonferroni).

    Returns:
        the p-value, 0-1; None where nothing can be tested: below two numbers a side, or no spread at all.
    """
    if min(len(first), len(second)) < 2 or (len(set(first)) == 1 and len(set(second)) == 1):
        return None
    p_value = float(ttest_ind(first, second, equal_var=False).pvalue)
    return None if math.isnan(p_value) else min(1.0, p_value * num_comparisons)
