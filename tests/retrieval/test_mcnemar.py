from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from vgsearch.retrieval.mcnemar import mcnemar_exact, smallest_detectable_difference


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=80))
def test_p_value_is_scipys_binomial_test(pairs: list[tuple[bool, bool]]) -> None:
    first, second = (np.array(side) for side in zip(*pairs, strict=True))
    test = mcnemar_exact(first, second)
    only_first = sum(a and not b for a, b in pairs)
    only_second = sum(b and not a for a, b in pairs)
    assert (test.only_first, test.only_second) == (only_first, only_second)
    differing = only_first + only_second
    expected = binomtest(only_first, differing, 0.5).pvalue if differing else 1.0
    assert test.p_value == pytest.approx(expected, rel=1e-9)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="same queries"):
        mcnemar_exact(np.ones(3, bool), np.ones(4, bool))


@given(st.integers(100, 20_000), st.floats(0.05, 0.5))
def test_detectable_difference_solves_connors_equation(num_queries: int, psi: float) -> None:
    delta = smallest_detectable_difference(num_queries, psi)
    if delta > 6 / num_queries and delta <= psi:
        z_a, z_b = norm.ppf(0.975), norm.ppf(0.8)
        needed = (z_a * math.sqrt(psi) + z_b * math.sqrt(psi - delta**2)) ** 2 / delta**2
        assert needed == pytest.approx(num_queries, rel=1e-6)


def test_no_difference_below_what_the_exact_test_can_see() -> None:
    assert smallest_detectable_difference(100, 0.0) == 0.06


@pytest.mark.parametrize("arguments", [(0, 0.1), (10, -0.1), (10, 1.1)])
def test_impossible_arguments_are_refused(arguments: tuple[int, float]) -> None:
    with pytest.raises(ValueError, match="must hold"):
        smallest_detectable_difference(*arguments)
