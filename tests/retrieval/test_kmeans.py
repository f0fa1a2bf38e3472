"""k-means against groups that are known, and against what its result must be."""

import numpy as np
import pytest

from vgsearch.errors import DataError
from vgsearch.retrieval.kmeans import k_means


@pytest.mark.parametrize("seed", range(5))
def test_two_groups_far_apart_are_found(seed):
    rng = np.random.default_rng(seed)
    near = rng.standard_normal((50, 6)).astype(np.float32)
    far = 100 + rng.standard_normal((500, 6)).astype(np.float32)
    found = k_means(np.concatenate([far, near]), 2, seed=seed)
    expected = np.stack([near.mean(axis=0), far.mean(axis=0)])
    np.testing.assert_allclose(found[np.argsort(found[:, 0])], expected, atol=1e-3)


def test_each_centroid_is_the_mean_of_its_rows():
    rows = np.random.default_rng(1).standard_normal((400, 5)).astype(np.float32)
    found = k_means(rows, 8, seed=0)
    nearest = np.argmin(((rows[:, None] - found[None]) ** 2).sum(axis=2), axis=1)
    for number in range(8):
        np.testing.assert_allclose(found[number], rows[nearest == number].mean(axis=0), atol=1e-5)


def test_a_seed_decides_it():
    rows = np.random.default_rng(2).standard_normal((500, 5)).astype(np.float32)
    first = k_means(rows, 8, seed=1)
    assert np.array_equal(first, k_means(rows, 8, seed=1))
    assert not np.array_equal(first, k_means(rows, 8, seed=2))


@pytest.mark.parametrize("rows", [np.eye(7, dtype=np.float32), np.ones((99, 4), dtype=np.float32)])
def test_too_few_different_rows_are_refused(rows, capfd):
    with pytest.raises(DataError, match="8 clusters"):
        k_means(rows, 8, seed=0)
    assert len(k_means(np.eye(8, dtype=np.float32), 8, seed=0)) == 8
    assert capfd.readouterr().err == ""
