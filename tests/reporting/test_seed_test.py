from __future__ import annotations

import math
from statistics import mean, variance

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import t

from vgsearch.reporting.seed_test import welch_p_value

seeds = st.lists(st.integers(0, 1000).map(lambda hits: hits / 10), min_size=2, max_size=6)


@given(seeds, seeds)
def test_it_is_welchs_formula(first: list[float], second: list[float]) -> None:
    assume(len(set(first)) > 1 and len(set(second)) > 1)
    a, b = variance(first) / len(first), variance(second) / len(second)
    statistic = (mean(first) - mean(second)) / math.sqrt(a + b)
    freedom = (a + b) ** 2 / (a**2 / (len(first) - 1) + b**2 / (len(second) - 1))
    assert welch_p_value(first, second) == pytest.approx(2 * t.sf(abs(statistic), freedom))


def test_more_comparisons_ask_for_more() -> None:
    once = welch_p_value((50, 51, 52), (48, 49, 47))
    assert once is not None
    assert welch_p_value((50, 51, 52), (48, 49, 47), num_comparisons=3) == pytest.approx(3 * once)
    assert welch_p_value((50, 51, 52), (50, 51, 52), num_comparisons=3) == 1.0


@pytest.mark.parametrize(
    ("first", "second"), [((50,), (40, 41)), ((), ()), ((50, 50), (40, 40)), ((50, 50), (50, 50))]
)
def test_what_cannot_be_tested(first: tuple[float, ...], second: tuple[float, ...]) -> None:
    assert welch_p_value(first, second) is None
