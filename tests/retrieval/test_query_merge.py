"""Merging against loops that are written from the definitions, over distances to the whole database."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from vgsearch.config.query_method import QueryMethod
from vgsearch.config.search import EvalConfig
from vgsearch.retrieval.query_merge import MAJORITY_WEIGHT, merge_crops, with_votes
from vgsearch.retrieval.scoring import find_neighbours

K = 20


def distances(database: np.ndarray, crops: np.ndarray) -> np.ndarray:
    """Squared distance from every crop of one query to every image, float64 (5, n)."""
    return np.array([[np.sum((row - crop) ** 2.0) for row in database] for crop in crops], dtype=np.float64)


def nearest_crop(database: np.ndarray, crops: np.ndarray) -> list[int]:
    """Images by their distance to the crop that they are nearest to."""
    least = distances(database, crops).min(axis=0)
    return sorted(range(len(database)), key=lambda i: (least[i], i))[:K]


def majority_voting(database: np.ndarray, crops: np.ndarray) -> list[int]:
    """Lists of 20 a crop; a vote of the first, five and ten makes nearer what stands in several lists."""
    of_all = distances(database, crops)
    lists = [sorted(range(len(database)), key=lambda i: (row[i], i))[:K] for row in of_all]
    scores = [{i: of_all[crop, i] for i in own} for crop, own in enumerate(lists)]
    for n in (1, 5, 10):
        votes = Counter(i for own in lists for i in own[:n])
        for crop, own in enumerate(lists):
            for i in own[:n]:
                if votes[i] > 1:
                    scores[crop][i] -= 0.01 * votes[i] / n
    least: dict[int, float] = {}
    for score in scores:
        for i, value in score.items():
            least[i] = min(value, least.get(i, np.inf))
    return sorted(least, key=lambda i: (least[i], i))[:K]


def draw(seed: int, num_images: int, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """A database and seven queries of five crops each, all of norm 1; crops of one query lie together."""
    rng = np.random.default_rng(seed)
    database = rng.standard_normal((num_images, 12))
    queries = rng.standard_normal((7, 1, 12)) + spread * rng.standard_normal((7, 5, 12))
    database /= np.linalg.norm(database, axis=1, keepdims=True)
    queries /= np.linalg.norm(queries, axis=2, keepdims=True)
    return database.astype(np.float32), queries.astype(np.float32)


@pytest.mark.parametrize(
    ("method", "oracle"), [("nearest_crop", nearest_crop), ("majority_voting", majority_voting)]
)
@pytest.mark.parametrize("num_images", [3, 20, 60, 300])
@pytest.mark.parametrize("spread", [0.0, 0.1, 2.0])
def test_predictions_equal_the_definition(
    method: QueryMethod, oracle, num_images: int, spread: float
) -> None:  # type: ignore[no-untyped-def]
    database, queries = draw(num_images, num_images, spread)
    found = find_neighbours(database, queries.reshape(-1, 12), eval_config=EvalConfig(query_method=method))
    for crops, own in zip(queries.astype(np.float64), found, strict=True):
        expected = oracle(database.astype(np.float64), crops)
        assert own.tolist() == expected + [-1] * (K - len(expected))


def test_votes_can_change_who_is_first() -> None:
    """Four crops agree on image 1 at a little more distance than image 0 has in the fifth."""
    ids = np.array([[[0, 1], [1, 2], [1, 2], [1, 2], [1, 2]]])
    squared = np.array([[[0.50, 0.60], [0.52, 0.7], [0.52, 0.7], [0.52, 0.7], [0.52, 0.7]]])
    assert merge_crops(ids, squared, 2).tolist() == [[0, 1]]
    voted = with_votes(ids, squared)
    # Image 1: 4 of the firsts, 5 among the first five, 5 among the first ten.
    assert voted[0, 1, 0] == pytest.approx(0.52 - MAJORITY_WEIGHT * (4 + 5 / 5 + 5 / 10))
    assert voted[0, 0, 0] == 0.50
    assert merge_crops(ids, voted, 2).tolist() == [[1, 0]]


def test_equal_distances_stand_by_row_and_gaps_are_no_images() -> None:
    ids = np.array([[[7, 3, -1], [3, 5, -1], [-1, -1, -1]]])
    assert merge_crops(ids, np.ones(ids.shape), 5).tolist() == [[3, 5, 7, -1, -1]]


def test_queries_do_not_mix_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    ids = np.argsort(rng.random((50, 5, 40)), axis=2)[:, :, :K].astype(np.int64)
    squared = np.sort(rng.random(ids.shape), axis=2)
    whole = with_votes(ids, squared)
    monkeypatch.setattr("vgsearch.retrieval.query_merge._BLOCK_QUERIES", 7)
    np.testing.assert_array_equal(with_votes(ids, squared), whole)
    np.testing.assert_array_equal(
        np.concatenate([with_votes(a[None], b[None]) for a, b in zip(ids, squared, strict=True)]), whole
    )
