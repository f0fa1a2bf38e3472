"""Means of descriptors against the plain route, and what giving up early may and may not change."""

import numpy as np
import pytest

from tests.ensembling.brute_force import PlainScorer
from tests.ensembling.drawn_members import drawn_members
from tests.ensembling.test_similarity_scorer import pot_split
from vgsearch.ensembling import mean_scorer
from vgsearch.ensembling.mean_scorer import MeanScorer
from vgsearch.ensembling.objective import Objective


@pytest.mark.parametrize("n", [1, 5])
def test_hits_are_those_of_the_plain_route(n):
    rng = np.random.default_rng(n)
    drawn = drawn_members(rng, members=3, queries=150, database=300)
    scorer = MeanScorer([pot_split(*drawn)], Objective(n, (150,)), drop_early=False)
    plain = PlainScorer(*drawn, n, fusion="mean")
    for base in (np.zeros(3), np.array([1.0, 0, 2.0])):
        for member, one in enumerate(scorer.try_each(base, [(m, 1.0) for m in range(3)])):
            np.testing.assert_array_equal(one.hits, plain.hits(base + np.eye(3)[member]))
    np.testing.assert_array_equal(scorer.hits(np.array([1.0, 2.0, 0])), plain.hits([1.0, 2.0, 0]))


def test_a_hopeless_candidate_is_given_up_and_the_best_never_is(monkeypatch):
    monkeypatch.setattr(mean_scorer, "BLOCK_ROWS", 64)
    rng = np.random.default_rng(0)
    databases, queries, matrix = drawn_members(rng, members=3, queries=600, database=300, noise=0.6)
    databases[2] = rng.permutation(databases[2])  # knows nothing
    split = pot_split(databases, queries, matrix)
    steps = [(m, 1.0) for m in range(3)]
    full = MeanScorer([split], Objective(1, (600,)), drop_early=False).try_each(np.zeros(3), steps)
    early = MeanScorer([split], Objective(1, (600,)))
    tried = early.try_each(np.zeros(3), steps)
    assert tried[2].hits is None
    assert tried[2].reason
    best = max(range(3), key=lambda m: full[m].value)
    np.testing.assert_array_equal(tried[best].hits, full[best].hits)
    assert early.num_products < 2.5


@pytest.mark.parametrize("seed", range(30))
def test_equally_good_candidates_are_hardly_ever_given_up(seed, monkeypatch):
    """Two models right on independent 60% of the queries: neither is hopeless after any block."""
    monkeypatch.setattr(mean_scorer, "BLOCK_ROWS", 64)
    rng = np.random.default_rng(seed)
    scorer = MeanScorer.__new__(MeanScorer)
    scorer.objective = Objective(1, (640,))
    one, other = rng.random(640) < 0.6, rng.random(640) < 0.6
    if other.sum() < one.sum():
        one, other = other, one  # the leader `one` is not better on all queries
    order = rng.permutation(640)
    for stop in range(64, 640, 64):
        done = np.zeros(640, dtype=bool)
        done[order[:stop]] = True
        assert not scorer._hopeless(other & done, one, done)
