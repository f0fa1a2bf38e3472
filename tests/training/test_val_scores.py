from __future__ import annotations

import numpy as np
import pytest

from vgsearch.errors import ConfigError
from vgsearch.retrieval.recall import RetrievalResult
from vgsearch.training.val_scores import objective_value, recall_metrics, result_files


def _result(*ranks: int) -> RetrievalResult:
    return RetrievalResult("s", np.array(ranks, np.int32), 0, "stamp")


def test_one_unnamed_split() -> None:
    metrics = recall_metrics({"": _result(0, 3, 12, -1)})
    assert metrics == {
        "val/recall_at_1": 25.0,
        "val/recall_at_5": 50.0,
        "val/recall_at_10": 50.0,
        "val/recall_at_20": 75.0,
    }


def test_named_splits_and_their_plain_mean() -> None:
    # The mean is over splits, whatever their sizes.
    metrics = recall_metrics({"day": _result(0, 0, 0, -1), "night": _result(0, -1)})
    assert metrics["val/day/recall_at_1"] == 75.0
    assert metrics["val/night/recall_at_1"] == 50.0
    assert metrics["val/mean/recall_at_1"] == 62.5
    assert len(metrics) == 12


def test_objective() -> None:
    metrics = {"train/loss": 1.0, "val/day/recall_at_1": 75.0}
    assert objective_value("val/day/recall_at_1", metrics) == 75.0
    with pytest.raises(
        ConfigError, match=r"no metric is called val/recall_at_1; there are: val/day/recall_at_1"
    ):
        objective_value("val/recall_at_1", metrics)


def test_files() -> None:
    assert list(result_files({"": _result(0)})) == ["val.npz"]
    files = result_files({"day": _result(0), "night": _result(1)})
    assert list(files) == ["val__day.npz", "val__night.npz"]
    assert files["val__night.npz"] == _result(1).to_npz_bytes()
