from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vgsearch.rerank.telling_pairs import find_changes, telling_pairs

DEPTH = 5


@st.composite
def orders(draw: st.DrawFn):
    """Candidates of some queries before and after, and which of the database are right for each."""
    num_queries = draw(st.integers(1, 25))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    before = np.array([rng.permutation(9)[:DEPTH] for _ in range(num_queries)])
    stays = draw(st.floats(0, 1))
    after = np.array([row if rng.random() < stays else rng.permutation(row) for row in before])
    right = rng.random((num_queries, 9)) < draw(st.floats(0, 1))
    return before, after, right


def right_first(order: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.array([right[query, order[query, 0]] for query in range(len(order))])


@given(orders(), st.integers(2, 12))
@settings(deadline=None)
def test_pairs_are_chosen_as_a_plain_loop_would(drawn, count: int) -> None:
    before, after, right = drawn
    mended, spoiled, others = [], [], []
    for query in range(len(before)):
        old, new = before[query, 0], after[query, 0]
        if old != new:
            was, became = right[query, old], right[query, new]
            (others if was == became else mended if became else spoiled).append(query)
    changes = find_changes(before, after, right_first(before, right), right_first(after, right))
    assert [each.tolist() for each in (changes.mended, changes.spoiled, changes.as_right)] == [
        mended,
        spoiled,
        others,
    ]
    pairs = telling_pairs(before, after, changes, count)
    assert 0 < len(pairs) <= count
    if not mended + spoiled + others:
        assert [(pair.query, pair.candidate, pair.change) for pair in pairs] == [
            (query, before[query, 0], "unchanged") for query in range(min(count, len(before)))
        ]
        return
    assert [pair.query for pair in pairs[::2]] == [pair.query for pair in pairs[1::2]]
    shown = {"mended": [], "spoiled": [], "as right as before": []}
    for old, new in zip(pairs[::2], pairs[1::2], strict=True):
        assert old.candidate == before[old.query, 0]
        assert new.candidate == after[old.query, 0]
        assert (old.rank_before, new.rank_after) == (1, 1)
        assert before[old.query].tolist().index(new.candidate) + 1 == new.rank_before > 1
        assert after[old.query].tolist().index(old.candidate) + 1 == old.rank_after > 1
        assert old.change == new.change
        shown[old.change].append(old.query)
    for kind, queries in zip(shown, (mended, spoiled, others), strict=True):
        assert shown[kind] == sorted(set(shown[kind]))
        assert set(shown[kind]) <= set(queries)
    room = count // 2
    if mended and spoiled and room > 1:
        assert len(shown["mended"]) == len(shown["spoiled"]) == min(len(mended), len(spoiled), room // 2)
        assert len(shown["as right as before"]) == min(len(others), room - 2 * len(shown["mended"]))
    else:
        assert sum(map(len, shown.values())) == min(room, len(mended + spoiled + others))


def test_those_of_a_kind_are_spread_over_all_of_it() -> None:
    before = np.tile(np.arange(DEPTH), (21, 1))
    changes = find_changes(before, before[:, ::-1], np.zeros(21, bool), np.ones(21, bool))
    pairs = telling_pairs(before, before[:, ::-1], changes, 6)
    assert [pair.query for pair in pairs] == [0, 0, 10, 10, 20, 20]


def test_queries_without_candidates_are_not_shown() -> None:
    before = np.array([[-1, -1], [4, -1]])
    changes = find_changes(before, before, np.zeros(2, bool), np.zeros(2, bool))
    (pair,) = telling_pairs(before, before, changes, 8)
    assert (pair.query, pair.candidate, pair.rank_before) == (1, 4, 1)
