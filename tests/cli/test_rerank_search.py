"""`vgsearch rerank` as a user types it, on the tiny city."""

from pathlib import Path

import pytest
import torch

from tests.cli.test_fda import TRIAL
from tests.cli.test_import import assert_refused
from tests.rerank.conftest import SMALL, moved_geowarp
from vgsearch.config.geowarp import GeoWarpConfig
from vgsearch.config.search import DataConfig, EvalConfig, TrialSpec
from vgsearch.models.checkpoint import save_checkpoint
from vgsearch.models.network import build_network
from vgsearch.registry.mlflow_registry import MlflowRegistry
from vgsearch.rerank.checkpoint import save_geowarp
from vgsearch.retrieval.recall import RetrievalResult

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def made(tiny_city: Path, tmp_path: Path):
    """A model, two re-rankers and a file that chooses between them."""
    data = DataConfig(
        train=str(tiny_city / "train"),
        val={"night": str(tiny_city / "val_night")},
        tests={"night": str(tiny_city / "test_night")},
    )
    spec = TrialSpec(
        search="quick",
        uid="quick-0",
        objective="val/night/recall_at_1",
        trial=TRIAL,
        data=data,
        eval=EvalConfig(resize_px=48),
    )
    save_checkpoint(tmp_path / "model", build_network(TRIAL), spec, {"epoch": 1})
    small = {**SMALL.model_dump(), "resize_px": 32}
    for name, pooling, seed in (("first", "gem", 0), ("second", "netvlad", 1)):
        network = moved_geowarp(GeoWarpConfig(**{**small, "pooling": pooling}), seed)
        save_geowarp(tmp_path / "runs" / "rerankers" / name, network, {"kind": "imported"})
    (tmp_path / "choice.yaml").write_text("name: choice\nmodel: model\nrerank: {n: [3, 5]}\n")


def recall_at_1(path):
    return RetrievalResult.from_npz(path).at(1).percent


def test_the_best_on_val_is_chosen_and_recorded(vgsearch, own_store, made, tmp_path, monkeypatch):
    run = vgsearch("rerank", "choice.yaml", "--score-tests")
    assert run.code == 0, run.err
    # The oracle is evaluate: the same orders, judged one network at a time.
    values = {}
    for name in ("first", "second"):
        again = vgsearch(
            "evaluate",
            "model",
            "--on",
            "val/night",
            "--rerank",
            f"geowarp:{name}",
            "--top",
            "3,5",
            "--save",
            name,
        )
        assert again.code == 0, again.err
        for n in (3, 5):
            values[name, n] = recall_at_1(tmp_path / name / f"val_night_geowarp_top{n}.npz")
    plain = recall_at_1(tmp_path / "first" / "val_night.npz")
    registry = MlflowRegistry(tmp_path / "runs", None)
    trials = {trial.label.partition(" (")[0]: trial for trial in registry.trials("rerank-choice")}
    recorded = {label: trial.history[0]["val/night/recall_at_1"] for label, trial in trials.items()}
    assert recorded == pytest.approx(
        {"no re-ranking": plain, **{f"{name} top {n}": value for (name, n), value in values.items()}}
    )
    best = max(values.values())
    (record,) = [each for each in registry.searches() if each.name == "rerank-choice"]
    chosen = record.tags["vgsearch.reranking"]
    if best > plain:
        name, n = min((key for key, value in values.items() if value == best), key=lambda key: key[1])
        assert chosen.startswith(f"geowarp:{name} top {n}, for ")
        assert f"best on val: geowarp:{name}, top {n}" in run.out
        assert "test/night: R@1" in run.out
        assert "against not re-ranking" in run.out
    else:
        assert chosen.startswith("none, for ")
        assert "do not re-rank" in run.out
        assert "test/night: R@1" not in run.out


def test_a_second_time_scores_no_pair_and_records_nothing_twice(
    vgsearch, own_store, made, tmp_path, monkeypatch
):
    first = vgsearch("rerank", "choice.yaml")
    assert first.code == 0, first.err

    def never(*_, **__):
        raise AssertionError("a pair was scored again")

    monkeypatch.setattr("vgsearch.cli.pair_scores.score_candidates", never)
    second = vgsearch("rerank", "choice.yaml")
    assert second.code == 0, second.err
    assert second.out == first.out
    assert len(MlflowRegistry(tmp_path / "runs", None).trials("rerank-choice")) == 5


def test_folders_of_one_name_are_told_apart(vgsearch, own_store, made, tmp_path):
    kept = tmp_path / "runs" / "rerankers"
    for place, name in (("one", "first"), ("two", "second")):
        (tmp_path / place).mkdir()
        (kept / name).rename(tmp_path / place / "warp")
    run = vgsearch("rerank", "choice.yaml", "--set", "rerank.networks=[one/warp, two/warp]")
    assert run.code == 0, run.err
    trials = MlflowRegistry(tmp_path / "runs", None).trials("rerank-choice")
    values = {trial.label.split(" top")[0]: set() for trial in trials if " top" in trial.label}
    assert set(values) == {"one/warp", "two/warp"}
    best = max(
        (trial for trial in trials if " top" in trial.label),
        key=lambda trial: trial.history[0]["val/night/recall_at_1"],
    )
    plain = next(trial for trial in trials if trial.label.startswith("no re-ranking"))
    highest = best.history[0]["val/night/recall_at_1"]
    if highest > plain.history[0]["val/night/recall_at_1"]:
        winners = {
            trial.label.split(" top")[0]
            for trial in trials
            if " top" in trial.label and trial.history[0]["val/night/recall_at_1"] == highest
        }
        assert any(f"best on val: geowarp:{winner}," in run.out for winner in winners)


def test_a_choice_that_is_stopped_is_closed(vgsearch, own_store, made, tmp_path):
    broken = moved_geowarp(SMALL)
    with torch.no_grad():
        broken.regression.linear.bias.fill_(torch.nan)
    save_geowarp(tmp_path / "runs" / "rerankers" / "third", broken, {"kind": "imported"})
    run = vgsearch("rerank", "choice.yaml")
    assert_refused(run, "third", "NaN or infinity")
    (record,) = MlflowRegistry(tmp_path / "runs", None).searches()
    assert record.state == "interrupted"


def test_encoder_and_pooling_choose_networks(vgsearch, own_store, made):
    run = vgsearch("rerank", "choice.yaml", "--set", "rerank.pooling=[netvlad]", "--set", "rerank.n=[3]")
    assert run.code == 0, run.err
    assert "1 network with top 3" in run.out
    assert "second" in run.out
    assert "first" not in run.out


def test_what_cannot_be_is_one_line(vgsearch, own_store, made, tiny_city):
    def refused(*overrides):
        return vgsearch("rerank", "choice.yaml", *(part for each in overrides for part in ("--set", each)))

    assert_refused(refused("rerank.encoder=[vgg16]"), "no network fits", "first (", "netvlad")
    assert_refused(refused("rerank.networks=[frist]"), "rerank.networks", "frist", "there is first, second")
    assert_refused(refused("criterion=test/night/recall_at_1"), "val alone")
    assert_refused(refused("criterion=val/day/recall_at_1"), "no such selection split")
    assert_refused(
        refused(f"val={tiny_city / 'test_night'}", "criterion=val/recall_at_1"),
        "must be apart from data.tests.night",
    )
    assert_refused(refused("model=nothing"), "nothing")
