"""Fitted weights: on the simplex, deterministic, never below equal weights, and right where that is known."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ensembling.brute_force import PlainScorer
from tests.ensembling.drawn_members import drawn_members
from tests.ensembling.test_similarity_scorer import pot_split
from vgsearch.ensembling.objective import Objective
from vgsearch.ensembling.similarity_scorer import SimilarityScorer
from vgsearch.ensembling.simplex import fit_simplex


@given(seed=st.integers(0, 1000), members=st.integers(1, 4))
@settings(max_examples=10, deadline=None)
def test_never_below_equal_weights(seed, members):
    drawn = drawn_members(np.random.default_rng(seed), members=members, queries=80, database=90, noise=1.3)
    scorer = SimilarityScorer([pot_split(*drawn)], Objective(1, (80,)))
    fit = fit_simplex(scorer, seed=seed, max_steps=5)
    plain = PlainScorer(*drawn, 1)
    assert abs(fit.weights.sum() - 1) < 1e-12
    assert (fit.weights >= 0).all()
    equal = 100 * plain.hits(np.ones(members) / members).mean()
    values = [each.value for each in fit.rounds]
    assert values[-1] >= equal - 1e-9
    assert values == sorted(values)
    np.testing.assert_array_equal(fit.rounds[-1].hits, plain.hits(fit.weights))
    again = fit_simplex(SimilarityScorer([pot_split(*drawn)], Objective(1, (80,))), seed=seed, max_steps=5)
    np.testing.assert_array_equal(fit.weights, again.weights)


def test_a_member_that_knows_nothing_loses_its_weight():
    rng = np.random.default_rng(0)
    databases, queries, matrix = drawn_members(rng, members=3, queries=300, database=200, noise=0.5)
    databases[1] = rng.permutation(databases[1])
    scorer = SimilarityScorer([pot_split(databases, queries, matrix)], Objective(1, (300,)))
    fit = fit_simplex(scorer)
    assert fit.weights[1] < 0.15
    assert fit.rounds[-1].value > 100 * scorer.hits(np.ones(3)).mean()
