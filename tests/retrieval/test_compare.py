from __future__ import annotations

import numpy as np
import pytest

from vgsearch.errors import DataError
from vgsearch.retrieval.compare import compare_results
from vgsearch.retrieval.recall import RetrievalResult


def _result(
    hits: list[bool], stamp: str = "abc-25m-native-none", spacing_m: float = 100.0
) -> RetrievalResult:
    utm_m = spacing_m * np.arange(len(hits))[:, None] * np.ones(2)
    ranks = np.where(hits, 0, -1).astype(np.int32)
    return RetrievalResult("night", ranks, 0, stamp, query_utm_m=utm_m)


def test_a_clear_difference_is_reported_in_one_line() -> None:
    comparison = compare_results(_result([False] * 40 + [True] * 20), _result([True] * 60))
    assert comparison.bootstrap.difference == pytest.approx(40 / 60)
    assert comparison.bootstrap.excludes_zero
    assert comparison.mcnemar.only_second == 40
    assert not comparison.tests_disagree
    text = str(comparison)
    assert text.startswith("R@1 33.3 [22.7, 45.9] -> 100.0 [94.0, 100.0]: +66.7 points [")
    assert "\n" not in text
    assert "disagree" not in text


def test_disagreement_of_the_tests_is_said() -> None:
    # Eight queries won, all at one place: McNemar takes them for eight coins, the bootstrap for one.
    first, second = [False] * 80, [True] * 8 + [False] * 72
    comparison = compare_results(_result(first, spacing_m=3.0), _result(second, spacing_m=3.0))
    assert comparison.mcnemar.p_value < 0.05
    assert not comparison.bootstrap.excludes_zero
    assert (comparison.tests_disagree, comparison.doubt, comparison.better) == (True, "clustered", None)
    assert "disagree" in str(comparison)


def test_an_interval_from_few_changed_places_shows_nothing() -> None:
    # Five of eighty queries won, each at a place of its own: equal models do so in 1 of 16 cases.
    comparison = compare_results(_result([False] * 80), _result([True] * 5 + [False] * 75))
    assert comparison.mcnemar.p_value == pytest.approx(2 / 32)
    assert comparison.bootstrap.excludes_zero
    assert (comparison.tests_disagree, comparison.doubt, comparison.better) == (True, "few_places", None)
    # Forty queries at one place are one event, though both tests see a difference.
    comparison = compare_results(_result([False] * 40, spacing_m=0.1), _result([True] * 40, spacing_m=0.1))
    assert comparison.bootstrap.num_places == 1
    assert comparison.mcnemar.p_value < 1e-9
    assert comparison.bootstrap.excludes_zero
    assert (comparison.tests_disagree, comparison.doubt, comparison.better) == (False, "few_places", None)


@pytest.mark.parametrize("swapped", [False, True])
def test_who_is_better(swapped: bool) -> None:
    pair = [_result([False] * 40 + [True] * 20), _result([True] * 60)]
    comparison = compare_results(*(pair[::-1] if swapped else pair))
    assert comparison.better == ("first" if swapped else "second")
    assert comparison.doubt is None
    assert compare_results(pair[0], pair[0]).better is None


@pytest.mark.parametrize(
    ("num_places", "queries_a_place", "changing", "together"),
    [(300, 1, 0.02, False), (8, 20, 0.1, False), (100, 4, 0.05, True), (10, 20, 0.3, True)],
)
def test_equal_models_are_seldom_told_apart(
    num_places: int, queries_a_place: int, changing: float, together: bool
) -> None:
    """Where either test alone errs in up to 70% (McNemar) or 9% (interval) of such cases."""
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(200):
        size = num_places if together else num_places * queries_a_place
        sign = np.where(rng.random(size) < changing, rng.choice([-1, 1], size), 0)
        sign = np.repeat(sign, queries_a_place) if together else sign
        both = rng.random(num_places * queries_a_place) < 0.5
        utm_m = np.repeat(100.0 * np.arange(num_places), queries_a_place)[:, None] * np.ones(2)
        first, second = (
            RetrievalResult("", np.where(hits, 0, -1).astype(np.int32), 0, "s", query_utm_m=utm_m)
            for hits in (np.where(sign == 0, both, sign < 0), np.where(sign == 0, both, sign > 0))
        )
        found += compare_results(first, second, num_samples=500).better is not None
    assert found <= 0.05 * 200 + 6


def test_a_set_that_can_show_nothing_says_so() -> None:
    text = str(compare_results(_result([True] * 3), _result([False] * 3)))
    assert "; no difference could be told apart; fewer than 6 places changed" in text


def test_other_stamps_are_refused() -> None:
    with pytest.raises(DataError, match=r"abc-25m-native-none .* abc-10m-native-none"):
        compare_results(_result([True]), _result([True], stamp="abc-10m-native-none"))


def test_results_without_positions_are_refused() -> None:
    bare = RetrievalResult("night", np.zeros(3, np.int32), 0, "abc-25m-native-none")
    with pytest.raises(DataError, match="no query positions"):
        compare_results(bare, bare)
