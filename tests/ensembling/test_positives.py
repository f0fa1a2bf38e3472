"""Positives written out are those that `RetrievalSet.is_positive` judges, border included."""

import numpy as np
import pytest

from vgsearch.data.index import ImageIndex
from vgsearch.data.retrieval_set import RetrievalSet, load_retrieval_set
from vgsearch.ensembling.positives import find_positives


def as_matrix(positives):
    matrix = np.zeros((positives.num_queries, positives.num_database), dtype=bool)
    for row in range(positives.num_queries):
        matrix[row, positives.ids[positives.starts[row] : positives.starts[row + 1]]] = True
    return matrix


def judged(retrieval_set):
    everyone = np.arange(len(retrieval_set.database))
    return retrieval_set.is_positive(np.tile(everyone, (len(retrieval_set.queries), 1)))


def test_positives_of_a_city(tiny_city):
    retrieval_set = load_retrieval_set(tiny_city / "val_day", 25.0)
    positives = find_positives(retrieval_set)
    np.testing.assert_array_equal(as_matrix(positives), judged(retrieval_set))
    np.testing.assert_array_equal(positives.answerable, np.flatnonzero(retrieval_set.has_positive))


@pytest.fixture
def grid(tiny_city):
    """Images on a grid of 0.1 m steps, so that many lie at exactly the distance of a positive."""
    real = load_retrieval_set(tiny_city / "val_day", 25.0)
    rng = np.random.default_rng(0)

    def moved(index: ImageIndex) -> ImageIndex:
        import dataclasses

        east = 500_000 + rng.integers(0, 12, len(index)) * 0.1
        return dataclasses.replace(index, utm_east=east, utm_north=np.full(len(index), 4_000_000.0))

    database, queries = moved(real.database), moved(real.queries)
    return RetrievalSet("grid", database, queries, 0.3, real.has_positive, "x")


def test_the_border_is_judged_to_the_bit(grid):
    np.testing.assert_array_equal(as_matrix(find_positives(grid)), judged(grid))


def test_a_part_of_the_queries_in_any_order(grid):
    positives = find_positives(grid)
    rows = np.random.default_rng(1).permutation(positives.num_queries)[:5]
    np.testing.assert_array_equal(as_matrix(positives.of(rows)), as_matrix(positives)[rows])
    offsets, flat = positives.block(2, 6)
    matrix = np.zeros((4, positives.num_database), dtype=bool)
    matrix.reshape(-1)[flat] = True
    np.testing.assert_array_equal(matrix, as_matrix(positives)[2:6])
    assert offsets[0] == 0
