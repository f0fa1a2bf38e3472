"""Scores on disk: what was kept is found, and nothing else is."""

import numpy as np
import pytest

from vgsearch.errors import StorageError
from vgsearch.rerank.score_store import PairScores, ScoreStore

CANDIDATES = np.array([[3, 1], [0, -1]])
SCORES = np.array([[0.5, 0.25], [0.75, -np.inf]], dtype=np.float32)


def test_what_was_kept_is_found(tmp_path):
    store = ScoreStore(tmp_path / "scores")
    key = store.key(["network", "fp32"], CANDIDATES)
    assert store.find(key, SCORES.shape) is None
    store.keep(key, PairScores(SCORES, 2.5))
    found = store.find(key, SCORES.shape)
    np.testing.assert_array_equal(found.scores, SCORES)
    assert found.seconds == 2.5
    assert [path.name for path in store.root.iterdir()] == [f"{key}.npz"]


def test_other_questions_have_other_names(tmp_path):
    asked = [
        (["network", "fp32"], CANDIDATES),
        (["network", "bf16"], CANDIDATES),
        (["networkfp32", ""], CANDIDATES),
        (["network", "fp32"], CANDIDATES[:, ::-1]),
        (["network", "fp32"], CANDIDATES.reshape(1, 4)),
    ]
    assert len({ScoreStore.key(*each) for each in asked}) == len(asked)


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", b"no archive", None])
def test_a_damaged_file_is_none(tmp_path, damage):
    store = ScoreStore(tmp_path)
    store.keep("key", PairScores(SCORES, 1.0))
    path = tmp_path / "key.npz"
    path.write_bytes(path.read_bytes()[:-40] if damage is None else damage)
    assert store.find("key", SCORES.shape) is None


def test_another_shape_or_nan_is_none(tmp_path):
    store = ScoreStore(tmp_path)
    store.keep("key", PairScores(SCORES, 1.0))
    assert store.find("key", (2, 3)) is None
    store.keep("nan", PairScores(np.full((2, 2), np.nan, dtype=np.float32), 1.0))
    assert store.find("nan", (2, 2)) is None


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        ScoreStore(tmp_path / "file" / "scores").keep("key", PairScores(SCORES, 1.0))
