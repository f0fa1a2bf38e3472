"""New orders against Python's own sort."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgsearch.rerank.reorder import reorder


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, -np.inf]), min_size=6, max_size=6), st.integers(1, 6))
def test_the_first_n_are_sorted_and_the_rest_stays(scores, n):
    candidates = np.array([[4, 9, 2, 7, 0, -1, 8]])
    got = reorder(candidates, np.array([scores], dtype=np.float32), n)
    first = sorted(range(n), key=lambda i: -scores[i])
    assert got[0].tolist() == [candidates[0, i] for i in first] + candidates[0, n:].tolist()


def test_more_than_there_are_is_refused():
    with pytest.raises(ValueError, match="n=3"):
        reorder(np.zeros((1, 5), np.int64), np.zeros((1, 2), np.float32), 3)
