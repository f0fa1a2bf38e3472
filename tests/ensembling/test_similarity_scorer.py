"""Kept similarities give the same hits as multiplying everything out, whatever the shortlists hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ensembling.brute_force import PlainScorer
from tests.ensembling.drawn_members import drawn_members, drawn_positives
from vgsearch.ensembling.objective import Objective
from vgsearch.ensembling.positives import Positives
from vgsearch.ensembling.pot import PotSplit
from vgsearch.ensembling.similarity_scorer import SimilarityScorer


def pot_split(databases, queries, matrix):
    counts = matrix.sum(axis=1)
    starts = np.concatenate([[0], np.cumsum(counts)])
    return PotSplit(databases, queries, Positives(starts, np.nonzero(matrix)[1], matrix.shape[1]))


def coarse(rng, count, length):
    """Values whose products and sums are exact in float32, with many ties."""
    return (rng.integers(-2, 3, (count, length)) / 8).astype(np.float32)


@given(
    seed=st.integers(0, 10_000),
    members=st.integers(1, 5),
    n=st.sampled_from([1, 5, 20]),
    kept=st.integers(1, 40),
    part=st.sampled_from([0.02, 0.3, 0.9]),
)
@settings(max_examples=60, deadline=None)
def test_hits_are_those_of_the_plain_route_with_ties(seed, members, n, kept, part):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, 6, members)
    databases = [coarse(rng, 50, length) for length in lengths]
    queries = [coarse(rng, 30, length) for length in lengths]
    matrix = drawn_positives(rng, 30, 50, part)
    if not matrix.any():
        matrix[3, 7] = True
    scorer = SimilarityScorer([pot_split(databases, queries, matrix)], Objective(n, (30,)), max_kept=kept)
    plain = PlainScorer(databases, queries, matrix, n)
    base = np.zeros(members)
    for _ in range(3):
        steps = [(member, 1.0) for member in range(members)]
        tried = scorer.try_each(base, steps)
        expected = [plain.hits(base + np.eye(members)[member]) for member in range(members)]
        best = max(hits.mean() for hits in expected)
        for one, hits in zip(tried, expected, strict=True):
            if one.hits is None:
                assert hits.mean() < best  # only what cannot win is given up
            else:
                np.testing.assert_array_equal(one.hits, hits)
        base = base + np.eye(members)[int(rng.integers(members))]
        np.testing.assert_array_equal(scorer.hits(base), plain.hits(base))


@pytest.mark.parametrize("kept", [2, 16, 128])
def test_steps_back_are_exact_too(kept):
    rng = np.random.default_rng(1)
    databases = [coarse(rng, 60, 4) for _ in range(3)]
    queries = [coarse(rng, 40, 4) for _ in range(3)]
    matrix = drawn_positives(rng, 40, 60, 0.05)
    matrix[0, 0] = True
    scorer = SimilarityScorer([pot_split(databases, queries, matrix)], Objective(1, (40,)), max_kept=kept)
    plain = PlainScorer(databases, queries, matrix, 1)
    base = np.array([2.0, 1.0, 3.0])
    steps = [(0, -1.0), (0, -2.0), (1, -0.5), (2, -3.0), (1, 0.25)]
    tried = scorer.try_each(base, steps)
    best = max(plain.hits(base + amount * np.eye(3)[m]).mean() for m, amount in steps)
    scored = [(one, step) for one, step in zip(tried, steps, strict=True) if one.hits is not None]
    assert scored
    for one, (member, amount) in scored:
        np.testing.assert_array_equal(one.hits, plain.hits(base + amount * np.eye(3)[member]))
    assert max(one.hits.mean() for one, _ in scored) == best


def test_short_lists_multiply_out_more_and_say_the_same():
    rng = np.random.default_rng(0)
    databases, queries, matrix = drawn_members(rng, members=4, queries=200, database=500)
    split = pot_split(databases, queries, matrix)
    long = SimilarityScorer([split], Objective(1, (200,)), max_kept=500)
    short = SimilarityScorer([split], Objective(1, (200,)), max_kept=1)
    steps = [(member, 1.0) for member in range(4)]
    base = np.array([1.0, 0, 1.0, 0])
    for one, other in zip(long.try_each(base, steps), short.try_each(base, steps), strict=True):
        if one.hits is not None and other.hits is not None:
            np.testing.assert_array_equal(one.hits, other.hits)
    assert long.num_multiplied_out == 0 < short.num_multiplied_out


def test_several_splits_count_as_their_mean():
    rng = np.random.default_rng(2)
    pots = [drawn_members(rng, members=2, queries=count, database=80) for count in (30, 90)]
    scorer = SimilarityScorer([pot_split(*pot) for pot in pots], Objective(1, (30, 90)))
    hits = scorer.hits(np.array([1.0, 1.0]))
    expected = [PlainScorer(*pot, 1).hits([1.0, 1.0]) for pot in pots]
    np.testing.assert_array_equal(hits, np.concatenate(expected))
    percent = scorer.objective.percent(hits)
    assert percent == pytest.approx(50 * (expected[0].mean() + expected[1].mean()))
