"""The curve against loops over queries, predictions and distances."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vgsearch.config.search import EvalConfig
from vgsearch.data.index import ImageIndex
from vgsearch.data.retrieval_set import RetrievalSet, least_squared_distance, queries_with_positive
from vgsearch.retrieval.distance_curve import distance_curve
from vgsearch.retrieval.scoring import score_descriptors


def index_at(points: np.ndarray, name: str) -> ImageIndex:
    """An index of files that nobody opens."""
    return ImageIndex(
        root=Path("/nowhere"),
        paths=tuple(f"{name}{i}.jpg" for i in range(len(points))),
        utm_east=500_000.0 + points[:, 0],
        utm_north=4_000_000.0 + points[:, 1],
        heading_deg=np.full(len(points), np.nan),
        fingerprint=name,
    )


def city(seed: int, num_images: int = 80, num_queries: int = 30) -> RetrievalSet:
    """Places on a grid of half metres, so that borders are hit exactly; some queries lie far away."""
    rng = np.random.default_rng(seed)
    database = index_at(rng.integers(0, 200, (num_images, 2)) / 2.0, "database")
    points = rng.integers(0, 200, (num_queries, 2)) / 2.0
    points[:3] += 500.0
    queries = index_at(points, "query")
    return RetrievalSet("city", database, queries, 25.0, queries_with_positive(database, queries, 25.0), "h")


@pytest.mark.parametrize("seed", range(4))
def test_every_point_equals_a_loop(seed: int) -> None:
    retrieval_set = city(seed)
    rng = np.random.default_rng(seed)
    ids = np.argsort(rng.random((30, 80)), axis=1)[:, :20].astype(np.int64)
    ids[5, 3:] = -1
    east = np.subtract.outer(retrieval_set.queries.utm_east, retrieval_set.database.utm_east)
    north = np.subtract.outer(retrieval_set.queries.utm_north, retrieval_set.database.utm_north)
    squared = east**2 + north**2
    points = distance_curve(ids, retrieval_set)
    assert [point.distance_m for point in points] == list(range(1, 101))
    for point in points:
        limit = point.distance_m**2
        assert point.num_without_positive == sum(min(row) > limit for row in squared)
        for recall in point.recalls:
            hits = sum(any(i >= 0 and squared[q, i] <= limit for i in ids[q, : recall.n]) for q in range(30))
            assert (recall.hits, recall.num_queries) == (hits, 30)


def test_at_the_splits_own_distance_it_is_the_result() -> None:
    retrieval_set = city(9)
    rng = np.random.default_rng(1)
    database, queries = (rng.standard_normal((n, 8)).astype(np.float32) for n in (80, 30))
    result = score_descriptors(database, queries, retrieval_set, eval_config=EvalConfig(), detailed=True)
    assert result.neighbour_ids is not None
    (point,) = distance_curve(result.neighbour_ids, retrieval_set, [25.0])
    assert point.recalls == result.recalls()
    assert point.num_without_positive == result.num_without_positive


@pytest.mark.parametrize("seed", range(3))
def test_the_least_distance_tells_of_any_threshold_who_has_a_positive(seed: int) -> None:
    retrieval_set = city(seed, num_images=500)
    least = least_squared_distance(retrieval_set.database, retrieval_set.queries)
    for distance_m in (0.5, 1.0, 2.5, np.sqrt(5.0), 5.0, 25.0, 600.0):
        expected = queries_with_positive(retrieval_set.database, retrieval_set.queries, distance_m)
        np.testing.assert_array_equal(least <= distance_m * distance_m, expected)


def test_photos_at_one_place_and_a_query_among_them() -> None:
    database = index_at(np.zeros((12, 2)), "database")
    queries = index_at(np.array([[0.0, 0.0], [3.0, 4.0]]), "query")
    assert least_squared_distance(database, queries).tolist() == [0.0, 25.0]


def test_predictions_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"shape \(30, 20 or more\) are needed, got \(30, 10\)"):
        distance_curve(np.zeros((30, 10), dtype=np.int64), city(0))
