"""`vgsearch evaluate` with other query methods and over distances, as a user types it, on the tiny city."""

from __future__ import annotations

import csv
import re

import pytest

from vgsearch.config.query_method import MULTI_ROW, ONE_ROW
from vgsearch.config.search import DataConfig, EvalConfig, TrialSpec
from vgsearch.config.trial import TrialConfig
from vgsearch.models.checkpoint import save_checkpoint
from vgsearch.models.network import build_network
from vgsearch.retrieval.recall import RetrievalResult

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def checkpoint(tiny_city, tmp_path_factory):
    """A network with its initial weights; photos of the city are square, of 96 px."""
    data = DataConfig(train=str(tiny_city / "train"), val=str(tiny_city / "val_day"))
    trial = TrialConfig(backbone="test_resnet.r160_in1k", weights="none", descriptor_dim=16)
    spec = TrialSpec(search="quick", uid="quick-0", trial=trial, data=data, eval=EvalConfig(resize_px=48))
    folder = tmp_path_factory.mktemp("models") / "epoch_0001"
    save_checkpoint(folder, build_network(trial), spec, {"epoch": 1})
    return folder


@pytest.fixture
def evaluate(vgsearch, checkpoint, monkeypatch):
    monkeypatch.setattr("torch.set_num_threads", lambda count: None)
    return lambda *arguments: vgsearch("evaluate", checkpoint, "--on", "val", *arguments)


def test_every_method_shares_the_database_and_says_its_time(evaluate, forward_passes, tmp_path):
    native = evaluate()
    assert native.code == 0, native.err
    assert "queries by" not in native.out
    assert re.search(r"; queries described in \d+\.\d\d s\n", native.out)
    num_queries = int(re.search(r"\((\d+) queries", native.out)[1])
    for method in (*ONE_ROW[1:], *MULTI_ROW):
        forward_passes.clear()
        run = evaluate("--query-method", method, "--save", method)
        assert run.code == 0, run.err
        result = RetrievalResult.from_npz(tmp_path / method / "val.npz")
        assert f"-{method}-48px" in result.stamp
        assert f"{result.summary()}; " in run.out
        # Squares of 48 px: resizing and the central crop find what native stored; only five crops are new,
        # and voting finds the crops of the nearest one.
        if method in ("five_crops", "nearest_crop"):
            assert sum(forward_passes) == 5 * num_queries
            assert f"queries by {method}; queries described in {result.query_extraction_s:.2f} s" in run.out
        elif method == "central_crop":
            assert sum(forward_passes) == num_queries
        else:
            assert sum(forward_passes) == 0
            assert f"queries by {method}; from stored descriptors" in run.out
            assert result.query_extraction_s is None


def test_a_given_target_is_another_scoring_of_the_database_too(evaluate):
    run = evaluate("--query-method", "central_crop", "--crop-height-px", "32", "--crop-width-px", "48")
    assert run.code == 0, run.err
    again = evaluate("--query-method", "five_crops", "--crop-height-px", "32", "--crop-width-px", "48")
    assert "queries described in" in again.out


def test_the_distance_curve_is_shown_and_saved_whole(evaluate, tmp_path):
    run = evaluate("--distance-curve", "--save", "scores")
    assert run.code == 0, run.err
    assert "val: recall by the distance within which an image is right" in run.out
    with (tmp_path / "scores" / "val_distance_curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["distance_m"]) for row in rows] == list(range(1, 101))
    result = RetrievalResult.from_npz(tmp_path / "scores" / "val.npz")
    assert float(rows[24]["recall_at_1"]) == pytest.approx(result.at(1).percent, abs=1e-4)
    assert int(rows[24]["num_without_positive"]) == result.num_without_positive
    assert result.neighbour_ids is not None
    recalls = [float(row["recall_at_20"]) for row in rows]
    assert recalls == sorted(recalls)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("--crop-height-px", "32"),
            ("--crop-height-px and --crop-width-px go together", "crop_width_px is not"),
        ),
        (("--query-method", "center_crop"), ("center_crop", "central_crop")),
    ],
)
def test_mistakes_are_one_line(evaluate, arguments, words):
    run = evaluate(*arguments)
    assert run.code == 2
    assert "Traceback" not in run.err
    for word in words:
        assert word in run.err.replace("\n", " ")
