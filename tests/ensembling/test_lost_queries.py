"""The bound on the way against the exact ranking at the end, on random cities and networks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vgsearch.config.search import EvalConfig
from vgsearch.data.index import ImageIndex
from vgsearch.data.retrieval_set import RetrievalSet, queries_with_positive
from vgsearch.ensembling.lost_queries import LostQueries
from vgsearch.ensembling.positives import find_positives
from vgsearch.ensembling.val_plan import PlannedSet
from vgsearch.retrieval.scoring import score_descriptors


def index_of(tmp, rng, count, fingerprint):
    east, north = rng.uniform(0, 150, (2, count))
    paths = tuple(f"{i}.jpg" for i in range(count))
    return ImageIndex(tmp, paths, east, north, np.zeros(count), fingerprint)


def random_set(tmp, rng, num_database, num_queries):
    database = index_of(tmp, rng, num_database, "database")
    queries = index_of(tmp, rng, num_queries, "queries")
    has_positive = queries_with_positive(database, queries, 25.0)
    return RetrievalSet("val", database, queries, 25.0, has_positive, "hash")


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    num_database=st.integers(1, 60),
    num_queries=st.integers(1, 40),
    n=st.sampled_from([1, 5, 10, 20]),
    signal=st.sampled_from([0.0, 1.0, 3.0]),
    levels=st.sampled_from([None, 2]),
)
def test_no_query_that_is_right_in_the_end_is_ever_called_lost(
    tmp_path_factory, seed, num_database, num_queries, n, signal, levels
):
    rng = np.random.default_rng(seed)
    retrieval_set = random_set(tmp_path_factory.getbasetemp(), rng, num_database, num_queries)
    positions = np.concatenate(
        [
            np.column_stack([part.utm_east, part.utm_north])
            for part in (retrieval_set.database, retrieval_set.queries)
        ]
    )
    rows = rng.normal(size=(len(positions), 6)) + signal * np.tile(positions / 50 - 1.5, 3)
    if levels:
        rows = np.round(rows)  # duplicated descriptors: ties in the ranking
        rows[(rows == 0).all(axis=1)] = 1
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    truth = rows.astype(np.float32)
    result = score_descriptors(
        truth[:num_database], truth[num_database:], retrieval_set, eval_config=EvalConfig()
    )
    right = result.hits_at(n)

    there = np.zeros(len(truth), dtype=bool)
    known = np.zeros_like(truth)
    planned = PlannedSet(retrieval_set, find_positives(retrieval_set), 0, num_database)
    bound = LostQueries(planned, n, known)
    best = num_queries
    for ids in np.array_split(rng.permutation(len(truth)), rng.integers(1, 8)):
        known[ids] = truth[ids]
        there[ids] = True
        bound.update(there)
        assert not (bound.is_lost & right).any()
        at_most = int(bound.at_most().hits_at(n).sum())
        assert right.sum() <= at_most <= best  # it only sharpens
        best = at_most
    if levels is None:
        # All is described: nothing is left open but what lies within the margin.
        assert best - right.sum() <= 1


def test_queries_without_a_positive_are_lost_from_the_start(tmp_path):
    rng = np.random.default_rng(0)
    retrieval_set = random_set(tmp_path, rng, 3, 50)
    assert not retrieval_set.has_positive.all()
    planned = PlannedSet(retrieval_set, find_positives(retrieval_set), 0, 3)
    bound = LostQueries(planned, 1, np.zeros((53, 4), dtype=np.float32))
    assert bound.at_most().at(1).hits == retrieval_set.has_positive.sum()
    assert bound.at_most().num_without_positive == (~retrieval_set.has_positive).sum()


@pytest.mark.parametrize("order", ["queries first", "database first"])
def test_a_query_counts_only_with_all_its_positives(tmp_path, order):
    """Two positives: one far off in descriptors, one exact. Only with both may the query be judged."""
    east = np.array([0.0, 1.0, 500.0, 501.0])
    database = ImageIndex(tmp_path, tuple("abcd"), east, np.zeros(4), np.zeros(4), "database")
    queries = ImageIndex(tmp_path, ("q",), np.zeros(1), np.zeros(1), np.zeros(1), "queries")
    retrieval_set = RetrievalSet("val", database, queries, 25.0, np.array([True]), "hash")
    truth = np.array([[0, 1], [1, 0], [0.8, 0.6], [0.6, 0.8], [1, 0]], dtype=np.float32)
    known = np.zeros_like(truth)
    bound = LostQueries(PlannedSet(retrieval_set, find_positives(retrieval_set), 0, 4), 1, known)
    there = np.zeros(5, dtype=bool)
    for row in [4, 0, 2, 3, 1] if order == "queries first" else [0, 2, 3, 1, 4]:
        known[row], there[row] = truth[row], True
        bound.update(there)
        assert not bound.is_lost.any()
