"""What is read of a store: declared settings, the value on val, and every recorded result."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reporting.paper.recorded import IMAGES, Recorded, paper_config, result
from vgsearch.config.trial import TrialConfig
from vgsearch.registry.names import KIND_TAG
from vgsearch.registry.params import flatten
from vgsearch.reporting.paper.asked import Asked
from vgsearch.reporting.paper.matching import answers
from vgsearch.reporting.paper.our_runs import OurRun, read_our_runs, trial_from_params
from vgsearch.retrieval.stamp import Stamp


def only(recorded: Recorded) -> OurRun:
    (run,) = read_our_runs(recorded.registry).runs
    return run


def test_a_trial_is_read_with_its_results(recorded: Recorded) -> None:
    recorded.search("losses")
    trial = paper_config(loss={"name": "arcface", "scale": 64, "margin_rad": 0.5})
    own = [result("sf_xs", 500), result("sf_xs", 470, method="central_crop"), result("tokyo_night", 50)]
    version = recorded.trial("losses", "t0", trial, 61.2, *own)
    recorded.registry.set_champion("losses", version.version)
    run = only(recorded)
    assert (run.reference, run.kind, run.trial) == ("models:/vgsearch-losses/1", "trial", trial)
    assert (run.objective, run.val_percent, run.is_champion, run.is_whole) == (
        "val/recall_at_1",
        61.2,
        True,
        True,
    )
    assert not run.selected_on_test
    assert run.train_folder == "/data/sf_xs/train"
    assert {(test.split, test.asked, test.result.at(1).hits) for test in run.tests} == {
        ("sf_xs", Stamp(IMAGES, "25m", "native", "fullsize"), 500),
        ("sf_xs", Stamp(IMAGES, "25m", "central_crop", "fullsize"), 470),
        ("tokyo_night", Stamp(IMAGES, "25m", "native", "fullsize"), 50),
    }


def test_the_finale_of_a_search_counts_too(recorded: Recorded) -> None:
    recorded.search("losses")
    recorded.trial("losses", "t0", paper_config(), 61.2, result("tokyo_xs", 200), finale=True)
    assert [(test.split, test.result.at(1).hits) for test in only(recorded).tests] == [("tokyo_xs", 200)]


def test_a_trial_that_was_stopped_is_not_whole(recorded: Recorded) -> None:
    recorded.search("losses")
    recorded.trial("losses", "t0", paper_config(), 61.2, state="stopped")
    assert not only(recorded).is_whole


def test_of_a_trial_the_newest_version_counts(recorded: Recorded) -> None:
    recorded.search("losses")
    version = recorded.trial("losses", "t0", paper_config(), 61.2)
    run_id = recorded.registry.find_run("losses", "t0")
    recorded.registry.log_epoch(run_id, 3, {"val/recall_at_1": 65.0})
    folder = recorded.folder / "losses" / "t0"
    (folder / "model.safetensors").write_bytes(b"later weights")
    recorded.registry.record_checkpoint(run_id, folder, search="losses", uid="t0", epoch=3)
    assert version.version == "1"
    run = only(recorded)
    assert (run.reference, run.val_percent) == ("models:/vgsearch-losses/2", 65.0)


def test_combinations_say_how_and_by_what(recorded: Recorded) -> None:
    recorded.search("losses")
    recorded.combination(
        "losses",
        "soup-1",
        "soup",
        paper_config(),
        {"method": "greedy"},
        "test/sf_xs/recall_at_1",
        result("sf_xs", 482, method="central_crop"),
    )
    recorded.combination(
        "losses", "ensemble-1", "ensemble", paper_config(), {"fusion": "mean"}, "val/recall_at_1"
    )
    soup, ensemble = read_our_runs(recorded.registry).runs
    assert (soup.kind, soup.method, soup.criterion) == ("soup", "greedy", "test/sf_xs/recall_at_1")
    assert soup.selected_on_test
    assert soup.val_percent == 63.5
    assert (ensemble.kind, ensemble.method, ensemble.selected_on_test) == ("ensemble", "mean", False)


def test_other_networks_are_read_and_answer_no_row(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded.search("a")
    version = recorded.trial("a", "t0", paper_config(), 61.2, result("sf_xs", 500))
    foreign = replace(version, tags={**version.tags, KIND_TAG: "from elsewhere"})
    monkeypatch.setattr(recorded.registry, "versions", lambda search: [foreign])
    run = only(recorded)
    assert (run.trial, run.method, len(run.tests)) == (paper_config(), "", 1)
    assert not answers(run, Asked("resnet18.tv_in1k"))


def test_what_cannot_be_read_is_said_and_the_rest_is_shown(recorded: Recorded) -> None:
    recorded.search("losses")
    recorded.trial("losses", "t0", paper_config(), 61.2)
    run = recorded.registry.open_trial(
        "losses", "t1", label="t1", params={"los": {"name": "x"}}, spec_text=""
    )
    folder = recorded.folder / "losses" / "t0"
    (folder / "model.safetensors").write_bytes(b"other")
    recorded.registry.record_checkpoint(run, folder, search="losses", uid="t1", epoch=1)
    found = read_our_runs(recorded.registry)
    assert len(found.runs) == 1
    (line,) = found.unreadable
    assert line.startswith("models:/vgsearch-losses/2 is left out: its settings are of another version")
    assert "los" in line


def test_an_empty_store_has_nothing(recorded: Recorded) -> None:
    recorded.search("losses")
    assert read_our_runs(recorded.registry).runs == ()


LOSSES = st.one_of(
    st.builds(lambda m: {"name": "cosface", "margin_cos": m}, st.floats(0, 1.9)),
    st.builds(
        lambda m, d: {"name": "arcface", "margin_rad": m, "detach_margin": d}, st.floats(0, 3), st.booleans()
    ),
    st.builds(lambda m: {"name": "sphereface", "margin_mul": m}, st.floats(1, 8)),
)
BACKBONES = st.sampled_from(
    [
        "resnet18.tv_in1k",
        "mobilenetv3_large_100",
        {"name": "vgg16", "weights": "a/b.pth", "trainable_stages": 2},
    ]
)
DOMAINS = st.one_of(st.none(), st.builds(lambda a: {"grl_alpha": a}, st.floats(0, 3)))


@settings(max_examples=60)
@given(loss=LOSSES, backbone=BACKBONES, domain=DOMAINS, seed=st.integers(0, 99), lr=st.floats(1e-9, 1))
def test_settings_come_back_from_flat_parameters(**values: object) -> None:
    trial = TrialConfig.model_validate(values)
    assert trial_from_params(flatten(trial.model_dump(mode="json"))) == trial


def test_parameters_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="contradicts loss"):
        trial_from_params({"loss": "cosface", "loss.name": "cosface"})
