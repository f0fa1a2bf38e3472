from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from vgsearch.ensembling.barrier import (
    Barrier,
    LinePoint,
    line_steps,
    measure_barrier,
    trace_line,
)
from vgsearch.retrieval.bootstrap import paired_bootstrap

RNG = np.random.default_rng(5)


def hits(rate: float, count: int = 400) -> np.ndarray:
    return RNG.random(count) < rate


def points(*rows: np.ndarray) -> list[LinePoint]:
    return [LinePoint(t, row) for t, row in zip(line_steps(len(rows)), rows, strict=True)]


def test_steps() -> None:
    assert line_steps(5) == [0.0, 0.25, 0.5, 0.75, 1.0]
    with pytest.raises(ValueError, match="num_points >= 3"):
        line_steps(2)


def test_only_what_lies_between_is_scored() -> None:
    asked = []

    def score(t: float) -> np.ndarray:
        asked.append(t)
        return np.full(4, t > 0.6)

    ends = np.zeros(4, bool), np.ones(4, bool)
    found = trace_line(ends, line_steps(5), score)
    assert asked == [0.25, 0.5, 0.75]
    assert [point.t for point in found] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert [point.recall(1).hits for point in found] == [0, 0, 0, 4, 4]
    assert found[0].recall(5).n == 5


@given(st.integers(0, 10_000), st.integers(3, 6), st.integers(1, 60))
def test_the_depth_is_the_largest_fall_below_the_straight_line(seed: int, num: int, queries: int) -> None:
    rng = np.random.default_rng(seed)
    rows = [rng.random(queries) < rng.random() for _ in range(num)]
    found = measure_barrier(points(*rows), np.arange(queries), num_samples=20)
    recalls = [row.mean() for row in rows]
    falls = {}
    for i in range(1, num - 1):
        t = i / (num - 1)
        falls[t] = recalls[0] + t * (recalls[-1] - recalls[0]) - recalls[i]
    assert found.depth == pytest.approx(max(falls.values()))
    assert falls[found.t] == pytest.approx(found.depth)
    assert found.height == max(0.0, found.depth)
    assert found.num_places == queries


def test_one_inner_point_between_equal_ends_is_the_paired_difference() -> None:
    ends, middle = hits(0.6), hits(0.5)
    places = RNG.integers(0, 90, 400)
    found = measure_barrier(points(ends, middle, ends), places)
    # With one inner point nothing is corrected, and the gap of a query is the difference of its two hits.
    paired = paired_bootstrap(middle, ends, places)
    assert found.depth == pytest.approx(paired.difference)
    assert found.num_places == paired.num_places
    assert (found.low, found.high) == pytest.approx((paired.low, paired.high), abs=0.004)


def test_the_interval_against_a_plain_loop() -> None:
    rows = [hits(rate, 120) for rate in (0.7, 0.6, 0.45, 0.6, 0.65)]
    places = RNG.integers(0, 30, 120)
    found = measure_barrier(points(*rows), places, num_samples=4000)
    t = found.t
    middle = rows[round(4 * t)]
    rng = np.random.default_rng(77)
    names = np.unique(places)
    means = []
    for _ in range(4000):
        drawn = rng.choice(names, len(names))
        queries = np.concatenate([np.flatnonzero(places == place) for place in drawn])
        recall = [row[queries].mean() for row in (rows[0], rows[-1], middle)]
        means.append((1 - t) * recall[0] + t * recall[1] - recall[2])
    # Three inner points: each interval leaves out 5% / 3.
    low, high = np.quantile(means, [0.025 / 3, 1 - 0.025 / 3])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.02)


def test_luck_is_not_taken_for_a_barrier() -> None:
    # Five networks of one recall on 100 places: the lowest of three points is always below, by chance.
    rng = np.random.default_rng(0)
    alarms = 0
    runs = 200
    for _ in range(runs):
        rows = [rng.random(100) < 0.6 for _ in range(5)]
        found = measure_barrier(points(*rows), np.arange(100), num_samples=500)
        alarms += found.is_real
    # At most 2.5% for all three points together, and what 200 runs may add to that.
    assert alarms <= 0.06 * runs


def test_a_real_barrier_is_seen() -> None:
    rng = np.random.default_rng(1)
    good = rng.random(500) < 0.7
    bad = good & (rng.random(500) < 0.6)
    found = measure_barrier(points(good, bad, bad, bad, good), np.arange(500) // 2)
    assert found.is_real
    assert found.low < found.depth < found.high
    assert found.depth == pytest.approx(good.mean() - bad.mean())


@pytest.mark.parametrize("num_places", [4, 50, 400])
def test_equal_networks_have_no_barrier_as_far_as_so_many_places_can_tell(num_places: int) -> None:
    same = hits(0.5, num_places)
    found = measure_barrier(points(same, same, same), np.arange(num_places))
    unseen = binomtest(0, num_places).proportion_ci(0.95, method="exact").high
    assert found == Barrier(0.5, 0.0, pytest.approx(-unseen), pytest.approx(unseen), num_places)
    assert not found.is_real


@pytest.mark.parametrize(("num_changed", "is_real"), [(5, False), (6, True)])
def test_few_places_that_fall_together_are_no_proof(num_changed: int, is_real: bool) -> None:
    ends = np.ones(50, dtype=bool)
    middle = ends.copy()
    middle[:num_changed] = False
    found = measure_barrier(points(ends, middle, ends), np.arange(50))
    assert found.depth == pytest.approx(num_changed / 50)
    # All of k one way: 2 in 2^k by chance, below 5% from 6 on.
    assert found.is_real == is_real == (binomtest(num_changed, num_changed).pvalue < 0.05)


def test_the_same_arguments_give_the_same_interval() -> None:
    rows = points(hits(0.6), hits(0.5), hits(0.7))
    places = np.arange(400)
    assert measure_barrier(rows, places, num_samples=100) == measure_barrier(rows, places, num_samples=100)
    assert measure_barrier(rows, places, num_samples=100) != measure_barrier(
        rows, places, num_samples=100, seed=1
    )


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 3 points"):
        measure_barrier(points(hits(0.5), hits(0.5), hits(0.5))[:2], np.arange(400))
    with pytest.raises(ValueError, match="same queries"):
        measure_barrier(points(hits(0.5), hits(0.5), hits(0.5)), np.arange(399))
