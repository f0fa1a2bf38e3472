from __future__ import annotations

import numpy as np
import pytest

from vgsearch.retrieval.bootstrap import grid_places, paired_bootstrap


def test_places_are_grid_cells() -> None:
    utm_m = np.array([[0.0, 0.0], [24.9, 24.9], [25.0, 0.0], [-0.1, 0.0], [10.0, 5.0]])
    places = grid_places(utm_m, 25.0)
    assert places[0] == places[1] == places[4]
    assert len(np.unique(places)) == 3


def test_same_seed_same_interval_and_another_seed_another() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random(300) < 0.5, rng.random(300) < 0.6
    places = rng.integers(0, 60, 300)
    one = paired_bootstrap(first, second, places, num_samples=500, seed=1)
    assert one == paired_bootstrap(first, second, places, num_samples=500, seed=1)
    assert one != paired_bootstrap(first, second, places, num_samples=500, seed=2)


def test_agrees_with_a_plain_loop_over_resampled_places() -> None:
    rng = np.random.default_rng(3)
    places = rng.integers(0, 25, 200)
    first, second = rng.random(200) < 0.4, rng.random(200) < 0.55
    fast = paired_bootstrap(first, second, places, num_samples=4000)
    differences = []
    for _ in range(2000):
        rows = np.concatenate([np.flatnonzero(places == p) for p in rng.choice(np.unique(places), 25)])
        differences.append(second[rows].mean() - first[rows].mean())
    assert fast.difference == pytest.approx(second.mean() - first.mean())
    assert (fast.low, fast.high) == pytest.approx(np.quantile(differences, [0.025, 0.975]), abs=0.02)
    assert fast.num_places == 25


def test_places_widen_the_interval_when_their_queries_move_together() -> None:
    rng = np.random.default_rng(4)
    places = np.repeat(np.arange(20), 20)
    first = np.zeros(400, bool)
    second = np.repeat(rng.random(20) < 0.3, 20)
    by_place = paired_bootstrap(first, second, places, num_samples=2000)
    by_query = paired_bootstrap(first, second, np.arange(400), num_samples=2000)
    assert by_place.high - by_place.low > 3 * (by_query.high - by_query.low)


def test_places_of_many_sizes_agree_with_drawing_them_one_by_one() -> None:
    rng = np.random.default_rng(7)
    places = np.repeat(np.arange(60), rng.integers(1, 9, 60))
    first, second = rng.random(len(places)) < 0.4, rng.random(len(places)) < 0.5
    fast = paired_bootstrap(first, second, places, num_samples=20_000)
    gains = np.array([int(second[places == p].sum()) - int(first[places == p].sum()) for p in range(60)])
    sizes = np.bincount(places)
    drawn = rng.integers(60, size=(20_000, 60))
    differences = gains[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    assert (fast.low, fast.high) == pytest.approx(np.quantile(differences, [0.025, 0.975]), abs=0.004)
    assert fast.num_changed_places == int((gains != 0).sum())


def test_few_changed_places_are_not_to_be_believed() -> None:
    first = np.zeros(40, bool)
    for changed, believed in ((5, False), (6, True)):
        second = np.arange(40) < changed
        result = paired_bootstrap(first, second, np.arange(40))
        assert result.excludes_zero
        assert result.num_changed_places == changed
        assert result.is_reliable is believed


def test_gains_and_losses_at_one_place_cancel() -> None:
    first, second = np.array([True, False, True]), np.array([False, True, True])
    assert paired_bootstrap(first, second, np.array([4, 4, 5])).num_changed_places == 0


def test_equal_models_have_an_interval_of_zero() -> None:
    hits = np.array([True, False, True])
    result = paired_bootstrap(hits, hits, np.arange(3))
    assert (result.difference, result.low, result.high, result.excludes_zero) == (0.0, 0.0, 0.0, False)


def test_impossible_arguments_are_refused() -> None:
    hits = np.array([True, False])
    with pytest.raises(ValueError, match="same queries"):
        paired_bootstrap(hits, hits, np.arange(3))
    with pytest.raises(ValueError, match="finite"):
        grid_places(np.array([[np.nan, 0.0]]))
    with pytest.raises(ValueError, match="place_m > 0"):
        grid_places(np.zeros((1, 2)), 0.0)
