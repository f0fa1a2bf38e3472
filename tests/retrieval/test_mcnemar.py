from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, norm

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


def exact_power(num_queries: int, differing: float, difference: float, alpha: float = 0.05) -> float:
    """By a plain double loop: so many differ, so many of them are won, and scipy's test sees it or not."""
    power = 0.0
    for m in range(num_queries + 1):
        for won in range(m + 1):
            if 2 * won > m and binomtest(won, m).pvalue <= alpha:
                share = (differing + difference) / (2 * differing)
                power += binom.pmf(m, num_queries, differing) * binom.pmf(won, m, share)
    return power


@pytest.mark.parametrize(("num_queries", "differing"), [(20, 0.6), (30, 0.3), (40, 0.5)])
def test_the_detectable_difference_is_found_in_four_of_five_cases(num_queries: int, differing: float) -> None:
    delta = smallest_detectable_difference(num_queries, differing)
    assert exact_power(num_queries, max(differing, delta), delta) == pytest.approx(0.8, abs=0.003)


def test_the_detectable_difference_in_simulated_comparisons() -> None:
    rng = np.random.default_rng(0)
    delta = smallest_detectable_difference(300, 0.1)
    found = 0
    for _ in range(1000):
        draw = rng.random(300)
        second = draw < (0.1 + delta) / 2
        first = (draw >= (0.1 + delta) / 2) & (draw < 0.1)
        test = mcnemar_exact(first, second)
        found += test.p_value <= 0.05 and test.only_second > test.only_first
    assert 0.75 < found / 1000 < 0.85


@given(st.integers(3000, 20_000), st.floats(0.1, 0.5))
@settings(max_examples=25, deadline=None)
def test_many_queries_come_near_connors_equation(num_queries: int, psi: float) -> None:
    delta = smallest_detectable_difference(num_queries, psi)
    z_a, z_b = norm.ppf(0.975), norm.ppf(0.8)
    needed = (z_a * math.sqrt(psi) + z_b * math.sqrt(psi - delta**2)) ** 2 / delta**2
    assert needed == pytest.approx(num_queries, rel=0.05)


def test_where_few_differ_all_that_differ_must_be_won() -> None:
    # Of 1000 queries 7.9 must be expected to change, all one way, for 6 of them to do so in 4 of 5 cases.
    for differing in (0.0, 0.003):
        delta = smallest_detectable_difference(1000, differing)
        assert binom.sf(5, 1000, delta) == pytest.approx(0.8, abs=0.01)


def test_fewer_than_six_queries_can_show_nothing() -> None:
    assert smallest_detectable_difference(5, 0.4) == math.inf
    assert smallest_detectable_difference(6, 0.4) == pytest.approx(0.8 ** (1 / 6), abs=0.01)


@pytest.mark.parametrize("arguments", [(0, 0.1), (10, -0.1), (10, 1.1)])
def test_impossible_arguments_are_refused(arguments: tuple[int, float]) -> None:
    with pytest.raises(ValueError, match="must hold"):
        smallest_detectable_difference(*arguments)
