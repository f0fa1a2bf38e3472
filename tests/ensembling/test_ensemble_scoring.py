"""Ranks from one product, against the exact search and a plain loop."""

import numpy as np
import pytest
import torch

from tests.ensembling.drawn_members import drawn_positives, unit_rows
from vgsearch.ensembling.ensemble_scoring import first_hit_ranks
from vgsearch.ensembling.positives import Positives
from vgsearch.retrieval.neighbours import nearest


def positives_of(matrix):
    counts = matrix.sum(axis=1)
    return Positives(np.concatenate([[0], np.cumsum(counts)]), np.nonzero(matrix)[1], matrix.shape[1])


def plain_ranks(database, queries, matrix, depth=20):
    """Sort all images of each query by (similarity, row) and look for the first positive."""
    ranks = []
    for query, positive in zip(queries, matrix, strict=True):
        similarity = database.astype(np.float64) @ query.astype(np.float64)
        order = sorted(range(len(database)), key=lambda row: (-similarity[row], row))
        hits = [place for place, row in enumerate(order) if positive[row]]
        ranks.append(hits[0] if hits and hits[0] < depth else -1)
    return np.array(ranks)


@pytest.mark.parametrize("seed", range(4))
def test_ranks_are_those_of_the_exact_search(seed):
    rng = np.random.default_rng(seed)
    database, queries = unit_rows(rng, 400, 24), unit_rows(rng, 90, 24)
    matrix = drawn_positives(rng, 90, 400)
    found = nearest(database, queries, 20)
    hit = np.take_along_axis(matrix, found, axis=1)
    expected = np.where(hit.any(axis=1), hit.argmax(axis=1), -1)
    np.testing.assert_array_equal(first_hit_ranks(database, queries, positives_of(matrix)), expected)


@pytest.mark.parametrize("depth", [1, 3, 20])
@pytest.mark.parametrize("seed", range(6))
def test_equal_similarities_go_by_row(seed, depth):
    """Coarse values make products exact in float32 and ties frequent."""
    rng = np.random.default_rng(seed)
    database = rng.integers(-1, 2, (60, 4)).astype(np.float32) / 4
    queries = rng.integers(-1, 2, (50, 4)).astype(np.float32) / 4
    matrix = drawn_positives(rng, 50, 60)
    np.testing.assert_array_equal(
        first_hit_ranks(database, queries, positives_of(matrix), depth=depth),
        plain_ranks(database, queries, matrix, depth),
    )


def test_a_collapsed_network_is_ranked_by_row_alone():
    database = np.full((30, 4), 0.5, dtype=np.float32)
    matrix = np.zeros((3, 30), dtype=bool)
    matrix[0, 0] = matrix[1, 7] = True
    ranks = first_hit_ranks(database, database[:3], positives_of(matrix))
    assert ranks.tolist() == [0, 7, -1]


def test_blocks_do_not_change_ranks(monkeypatch):
    rng = np.random.default_rng(5)
    database, queries = unit_rows(rng, 200, 8), unit_rows(rng, 100, 8)
    positives = positives_of(drawn_positives(rng, 100, 200))
    whole = first_hit_ranks(database, queries, positives)
    monkeypatch.setattr("vgsearch.ensembling.ensemble_scoring.BLOCK_ROWS", 7)
    np.testing.assert_array_equal(first_hit_ranks(database, queries, positives), whole)


def test_the_callers_precision_is_put_back():
    torch.set_float32_matmul_precision("medium")
    try:
        rows = unit_rows(np.random.default_rng(0), 5, 4)
        first_hit_ranks(rows, rows, positives_of(np.eye(5, dtype=bool)))
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
