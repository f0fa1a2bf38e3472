"""Which scores are in doubt, against every pair of a row."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vgsearch.rerank.close_scores import error_spread, in_doubt

ROWS = arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(1, 6)),
    elements=st.sampled_from([-np.inf, -1.0, 0.0, 0.25, 0.3, 0.31, 0.5, 0.9]),
)


@given(ROWS, st.sampled_from([0.0, 0.003, 0.02, 0.3]))
def test_it_is_who_has_another_one_near(scores, deviation):
    got = in_doubt(scores, deviation)
    limit = 3 * np.sqrt(2) * deviation
    for (row, column), score in np.ndenumerate(scores):
        others = np.delete(scores[row], column).astype(float)
        near = [other for other in others if np.isfinite(other) and abs(other - float(score)) <= limit]
        assert got[row, column] == (np.isfinite(score) and len(near) > 0)


def test_settled_scores_leave_the_order_of_exact_ones():
    rng = np.random.default_rng(4)
    exact = rng.normal(0.4, 0.1, (500, 10)).astype(np.float32)
    rough = (exact + rng.normal(0.02, 2e-3, exact.shape)).astype(np.float32)
    mean, deviation = error_spread(rough.ravel()[:64], exact.ravel()[:64])
    doubtful = in_doubt(rough, deviation)
    settled = np.where(doubtful, exact, rough - np.float32(mean))
    orders = [np.argsort(-each, axis=1) for each in (exact, rough, settled)]
    assert (orders[1] == orders[0]).all(axis=1).mean() < 0.9
    assert (orders[2] == orders[0]).all(axis=1).mean() >= 0.99
    assert doubtful.mean() < 0.5
