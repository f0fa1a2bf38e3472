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
    assert "disagree" in str(comparison)


def test_other_stamps_are_refused() -> None:
    with pytest.raises(DataError, match=r"abc-25m-native-none .* abc-10m-native-none"):
        compare_results(_result([True]), _result([True], stamp="abc-10m-native-none"))


def test_results_without_positions_are_refused() -> None:
    bare = RetrievalResult("night", np.zeros(3, np.int32), 0, "abc-25m-native-none")
    with pytest.raises(DataError, match="no query positions"):
        compare_results(bare, bare)
