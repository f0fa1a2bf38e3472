"""The contract in `vgsearch.registry.protocol`, checked on every implementation."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from vgsearch.errors import CheckpointError, RegistryError
from vgsearch.registry.protocol import Registry
from vgsearch.registry.records import TrialState

CONFIG = {"name": "grl", "trial": {"lr": 1e-5, "domain": None, "loss": {"name": "arcface", "scale": 30.0}}}


def open_search(registry: Registry, name: str = "grl") -> str:
    return registry.open_search(
        name, params=CONFIG, config_text="name: grl\n", tags={"vgsearch.objective": "o"}
    )


def open_trial(registry: Registry, uid: str = "t0", search: str = "grl") -> str:
    return registry.open_trial(search, uid, label=f"trial {uid}", params={"lr": 1e-3}, spec_text="lr: 1e-3\n")


def test_a_search_is_opened_once(registry: Registry) -> None:
    first = open_search(registry)
    registry.finish_search(first, "interrupted")
    assert [record.state for record in registry.searches()] == ["interrupted"]
    again = registry.open_search("grl", params={**CONFIG, "extra": 1}, config_text="x", tags={"t": "2"})
    assert again == first
    (record,) = registry.searches()
    assert (record.name, record.run_id, record.state, record.ended_at) == ("grl", first, "running", None)
    assert record.params == {
        "name": "grl",
        "trial.lr": "1e-05",
        "trial.domain": "null",
        "trial.loss.name": "arcface",
        "trial.loss.scale": "30.0",
        "extra": "1",
    }
    assert record.tags["vgsearch.objective"] == "o"
    assert record.tags["t"] == "2"


def test_a_recorded_parameter_keeps_its_value(registry: Registry) -> None:
    registry.open_search("grl", params={"num_trials": 8}, config_text="")
    open_trial(registry, "t0")
    registry.open_search("grl", params={"num_trials": 16}, config_text="")
    assert registry.searches()[0].params == {"num_trials": "8"}


def test_a_search_that_ended_before_its_first_trial_is_recorded_anew(registry: Registry) -> None:
    registry.open_search("grl", params={"num_trials": 8, "old": 1}, config_text="")
    registry.open_search("grl", params={"num_trials": 16}, config_text="")
    (record,) = registry.searches()
    assert record.params == {"num_trials": "16"}
    assert record.state == "running"


def test_many_and_long_parameters(registry: Registry) -> None:
    params = {"long": "x" * 7000, "odd @ key": [1, None], **{f"p{number}": number for number in range(250)}}
    registry.open_search("grl", params=params, config_text="")
    recorded = registry.searches()[0].params
    assert len(recorded) == 252
    assert recorded["long"] == "x" * 6000
    assert recorded["odd _ key"] == "[1, null]"


def test_searches_are_listed_in_order(registry: Registry) -> None:
    for name in ("b", "a", "c"):
        open_search(registry, name)
    assert [record.name for record in registry.searches()] == ["b", "a", "c"]


def test_a_trial_is_one_run_through_resumes(registry: Registry) -> None:
    open_search(registry)
    runs = [open_trial(registry, uid) for uid in ("t0", "t1")]
    registry.finish_trial(runs[0], "failed", reason="the loss is not finite", tags={"vgsearch.peak": "3"})
    failed, running = registry.trials("grl")
    assert (failed.uid, failed.run_id, failed.label) == ("t0", runs[0], "trial t0")
    assert (failed.state, failed.reason, failed.tags["vgsearch.peak"]) == (
        "failed",
        "the loss is not finite",
        "3",
    )
    assert failed.ended_at is not None
    assert failed.ended_at >= failed.started_at
    assert (running.state, running.reason, running.ended_at) == ("running", "", None)
    assert open_trial(registry, "t0") == runs[0]
    again = registry.trials("grl")[0]
    assert (again.state, again.reason, again.ended_at) == ("running", "", None)
    assert again.params == {"lr": "0.001"}


def test_states_are_told_apart(registry: Registry) -> None:
    open_search(registry)
    states: list[TrialState] = ["complete", "stopped", "infeasible", "failed", "out_of_memory"]
    for state in states:
        registry.finish_trial(open_trial(registry, state), state)
    assert [trial.state for trial in registry.trials("grl")] == states


def test_unknown_states_are_refused(registry: Registry) -> None:
    parent = open_search(registry)
    with pytest.raises(
        RegistryError, match="complete, stopped, infeasible, failed, out_of_memory.*'running'"
    ):
        registry.finish_trial(open_trial(registry), "running")
    with pytest.raises(RegistryError, match="complete, interrupted, failed.*'over'"):
        registry.finish_search(parent, "over")  # type: ignore[arg-type]


def test_uids_of_two_searches_do_not_clash(registry: Registry) -> None:
    for name in ("a", "b"):
        open_search(registry, name)
    assert open_trial(registry, "t0", "a") != open_trial(registry, "t0", "b")
    assert [len(registry.trials(name)) for name in ("a", "b")] == [1, 1]


def test_unknown_searches_are_named_with_the_nearest(registry: Registry) -> None:
    open_search(registry, "losses")
    for call in (
        registry.trials,
        registry.versions,
        registry.champion,
        lambda name: open_trial(registry, "t", name),
    ):
        with pytest.raises(RegistryError, match=r"no search is named 'loses'; nearest: losses"):
            call("loses")


def test_names_are_plain_segments(registry: Registry) -> None:
    open_search(registry)
    for name in ("", "..", "a/b", "a b", "x" * 129, "é", "a'b", "a\n"):
        with pytest.raises(RegistryError, match="a search's name may hold only letters"):
            open_search(registry, name)
        with pytest.raises(RegistryError, match="a trial's uid may hold only letters"):
            open_trial(registry, name)


def test_epochs_are_recorded_once(registry: Registry) -> None:
    open_search(registry)
    run = open_trial(registry)
    registry.log_epoch(run, 1, {"train/loss": 2.0, "val/recall_at_1": 40.0})
    registry.log_epoch(run, 2, {"train/loss": 1.0, "val/recall_at_1": 50.0, "val/recall_at_5": 70.0})
    registry.log_epoch(run, 1, {"train/loss": 9.0, "val/recall_at_1": 99.0, "late": 1.0})
    (trial,) = registry.trials("grl")
    assert trial.history == {
        1: {"train/loss": 2.0, "val/recall_at_1": 40.0, "late": 1.0},
        2: {"train/loss": 1.0, "val/recall_at_1": 50.0, "val/recall_at_5": 70.0},
    }
    assert trial.epochs == 2
    assert trial.best("val/recall_at_1") == (2, trial.history[2])
    assert trial.last_metrics == {**trial.history[1], **trial.history[2]}
    (partial,) = registry.trials("grl", metric_prefix="train/")
    assert partial.history == {1: {"train/loss": 2.0}, 2: {"train/loss": 1.0}}


def test_values_that_are_not_finite_are_left_out(registry: Registry) -> None:
    open_search(registry)
    run = open_trial(registry)
    registry.log_epoch(run, 1, {"a": math.nan, "b": math.inf, "c": 1.0})
    registry.log_epoch(run, 2, {"a": math.nan})
    assert registry.trials("grl")[0].history == {1: {"c": 1.0}}


def test_metric_names_follow_mlflow(registry: Registry) -> None:
    open_search(registry)
    run = open_trial(registry)
    for name in ("val/R@1", "", "a//b", "/a", "a/../b", "../a", "x" * 251):
        with pytest.raises(RegistryError, match="a metric's name may hold only"):
            registry.log_epoch(run, 1, {name: 1.0, "fine": 1.0})
    assert registry.trials("grl")[0].history == {}


def test_epochs_are_counted_from_one(registry: Registry, make_checkpoint: Callable[..., Path]) -> None:
    open_search(registry)
    run = open_trial(registry)
    with pytest.raises(RegistryError, match="counted from 1, but got 0"):
        registry.log_epoch(run, 0, {"a": 1.0})
    with pytest.raises(RegistryError, match="counted from 1, but got 0"):
        registry.record_checkpoint(run, make_checkpoint("t0", 0), search="grl", uid="t0", epoch=0)


def test_unknown_runs_are_refused(registry: Registry, make_checkpoint: Callable[..., Path]) -> None:
    open_search(registry)
    run_id = "deadbeef" * 4
    for call in (
        lambda: registry.log_epoch(run_id, 1, {"a": 1.0}),
        lambda: registry.finish_trial(run_id, "complete"),
        lambda: registry.log_scores(run_id, {"a": 1.0}),
        lambda: registry.record_checkpoint(run_id, make_checkpoint("t", 1), search="grl", uid="t", epoch=1),
    ):
        with pytest.raises(RegistryError, match=run_id) as caught:
            call()
        assert "\n" not in str(caught.value)
    assert registry.versions("grl") == []


def test_scores_belong_to_no_epoch(registry: Registry) -> None:
    open_search(registry)
    run = open_trial(registry)
    registry.log_epoch(run, 1, {"val/recall_at_1": 40.0})
    for value in (55.0, 55.0, 56.0):
        registry.log_scores(
            run, {"test/tokyo/recall_at_1": value}, {"test__tokyo.npz": b"x"}, tags={"seen": "1"}
        )
    (trial,) = registry.trials("grl")
    assert trial.history[0] == {"test/tokyo/recall_at_1": 56.0}
    assert (trial.epochs, trial.tags["seen"]) == (1, "1")
    with pytest.raises(RegistryError, match="may hold only letters"):
        registry.log_scores(run, {}, {"../out": b"x"})


def test_a_checkpoint_becomes_a_version(registry: Registry, make_checkpoint: Callable[..., Path]) -> None:
    open_search(registry)
    run = open_trial(registry)
    assert registry.versions("grl") == []
    folder = make_checkpoint("t0", 3)
    tags = {"vgsearch.architecture": "abc", "val/recall_at_1": "61.5"}
    version = registry.record_checkpoint(run, folder, search="grl", uid="t0", epoch=3, tags=tags)
    assert (version.search, version.name, version.version) == ("grl", "vgsearch-grl", "1")
    assert (version.uid, version.run_id, version.epoch) == ("t0", run, 3)
    assert version.weights_sha256 == hashlib.sha256(b"weights").hexdigest()
    assert tags.items() <= version.tags.items()
    assert registry.versions("grl") == [version]
    assert registry.record_checkpoint(run, folder, search="grl", uid="t0", epoch=3, tags=tags) == version
    assert len(registry.versions("grl")) == 1


def test_what_is_downloaded_is_what_was_recorded(
    registry: Registry, make_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    open_search(registry)
    run = open_trial(registry)
    folder = make_checkpoint("t0", 1)
    version = registry.record_checkpoint(run, folder, search="grl", uid="t0", epoch=1)
    got = registry.download(version.reference)
    names = ["metrics.json", "model.safetensors", "trial.yaml", "val.npz"]
    assert sorted(path.name for path in got.iterdir()) == names
    for name in names:
        assert (got / name).read_bytes() == (folder / name).read_bytes()
    target = tmp_path / "deep" / "copy"
    for _ in range(2):
        assert registry.download(version.reference, target) == target
    assert sorted(path.name for path in target.iterdir()) == names
    assert registry.download(str(folder)) == folder
    assert (registry.download(str(folder), tmp_path / "other") / "trial.yaml").read_text() == "uid: t0\n"


def test_later_epochs_leave_earlier_versions_alone(
    registry: Registry, make_checkpoint: Callable[..., Path]
) -> None:
    open_search(registry)
    run = open_trial(registry)
    for epoch in (1, 4):
        registry.record_checkpoint(
            run, make_checkpoint("t0", epoch, b"%d" % epoch), search="grl", uid="t0", epoch=epoch
        )
    # The same epoch trained again, with other weights, as after a crash on a GPU.
    registry.record_checkpoint(run, make_checkpoint("t0", 1, b"1 again"), search="grl", uid="t0", epoch=1)
    versions = registry.versions("grl")
    assert [(each.version, each.epoch) for each in versions] == [("1", 1), ("2", 4), ("3", 1)]
    weights = [(registry.download(each.reference) / "model.safetensors").read_bytes() for each in versions]
    assert weights == [b"1", b"4", b"1 again"]
    assert (registry.download(f"runs:/{run}") / "model.safetensors").read_bytes() == b"4"


def test_a_folder_that_is_no_checkpoint_is_refused(
    registry: Registry, make_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    open_search(registry)
    run = open_trial(registry)
    folder = make_checkpoint("t0", 1)
    (folder / "metrics.json").unlink()
    with pytest.raises(CheckpointError, match="it has no metrics.json"):
        registry.record_checkpoint(run, folder, search="grl", uid="t0", epoch=1)
    with pytest.raises(CheckpointError, match="it has no metrics.json"):
        registry.download(str(folder))
    with pytest.raises(CheckpointError, match="it has no model.safetensors, trial.yaml, metrics.json"):
        registry.record_checkpoint(run, tmp_path / "nowhere", search="grl", uid="t0", epoch=1)
    assert registry.versions("grl") == []


def test_the_champion_moves(registry: Registry, make_checkpoint: Callable[..., Path]) -> None:
    open_search(registry)
    run = open_trial(registry)
    with pytest.raises(RegistryError, match="'grl' has no champion yet: 0 recorded"):
        registry.champion("grl")
    for epoch in (1, 2):
        registry.record_checkpoint(
            run, make_checkpoint("t0", epoch, b"%d" % epoch), search="grl", uid="t0", epoch=epoch
        )
    with pytest.raises(RegistryError, match="no champion yet: 2 recorded"):
        registry.champion("grl")
    with pytest.raises(RegistryError, match="vgsearch-grl has no alias 'champion'; recorded versions: 1, 2"):
        registry.download("models:/vgsearch-grl@champion")
    for number in ("2", "1"):
        registry.set_champion("grl", number)
        champion = registry.champion("grl")
        assert (champion.version, champion.aliases) == (number, ("champion",))
        folder = registry.download("models:/vgsearch-grl@champion")
        assert (folder / "model.safetensors").read_text() == number
    assert [each.aliases for each in registry.versions("grl")] == [("champion",), ()]
    for unknown in ("3", "best"):
        with pytest.raises(RegistryError, match=f"no version {unknown}; recorded versions: 1, 2"):
            registry.set_champion("grl", unknown)
    assert registry.champion("grl").version == "1"


def test_the_best_trial_is_crowned_by_its_newest_version(
    registry: Registry, make_checkpoint: Callable[..., Path]
) -> None:
    open_search(registry)
    for uid, epochs in (("t0", (1, 3)), ("t1", (2,)), ("t2", ())):
        run = open_trial(registry, uid)
        for epoch in epochs:
            folder = make_checkpoint(uid, epoch, f"{uid} {epoch}".encode())
            registry.record_checkpoint(run, folder, search="grl", uid=uid, epoch=epoch)
    for uid, number in (("t0", "2"), ("t0", "2"), ("t1", "3"), ("t0", "2")):
        registry.crown("grl", uid)
        assert (registry.champion("grl").version, registry.champion("grl").uid) == (number, uid)
    with pytest.raises(RegistryError, match="no version of the best trial, t2: it is another store than"):
        registry.crown("grl", "t2")
    with pytest.raises(RegistryError, match="no search is named 'gril'; nearest: grl"):
        registry.crown("gril", "t0")
    assert registry.champion("grl").uid == "t0"


def test_runs_are_found_by_name(registry: Registry) -> None:
    parent = open_search(registry)
    child = open_trial(registry, "t0")
    assert registry.find_run("grl") == parent
    assert registry.find_run("grl", "t0") == child
    with pytest.raises(RegistryError, match="'grl' has no trial 't1' in this store"):
        registry.find_run("grl", "t1")
    with pytest.raises(RegistryError, match="no search is named 'gril'; nearest: grl"):
        registry.find_run("gril")


def test_files_lie_in_plain_folders(registry: Registry) -> None:
    run = open_search(registry)
    registry.log_files(run, "provenance/resume_2", {"git.txt": b"abc"})
    registry.log_files(run, "provenance", {})
    for folder in ("", "/tmp", "a//b", "../a", "a/..", "a b"):
        with pytest.raises(RegistryError, match="a segment of an artifact folder may hold only letters"):
            registry.log_files(run, folder, {"a": b""})
    for name in ("", "a/b", ".."):
        with pytest.raises(RegistryError, match="may hold only letters"):
            registry.log_files(run, "provenance", {name: b""})
    with pytest.raises(RegistryError, match="deadbeef"):
        registry.log_files("deadbeef" * 4, "provenance", {"a": b""})


def test_nothing_waits_while_the_store_answers(registry: Registry) -> None:
    open_search(registry)
    assert registry.flush() == 0


def test_unknown_references_list_what_there_is(
    registry: Registry, make_checkpoint: Callable[..., Path]
) -> None:
    with pytest.raises(RegistryError, match="nothing is recorded in this store yet"):
        registry.download("models:/vgsearch-grl/1")
    open_search(registry)
    run = open_trial(registry)
    registry.record_checkpoint(run, make_checkpoint("t0", 1), search="grl", uid="t0", epoch=1)
    registry.set_champion("grl", "1")
    with pytest.raises(RegistryError, match="nearest: vgsearch-grl"):
        registry.download("models:/vgsearch-gril/1")
    with pytest.raises(RegistryError, match="nearest: vgsearch-grl"):
        registry.download("models:/grl@champion")
    with pytest.raises(RegistryError, match="no version 9; recorded versions: 1; aliases: champion -> 1"):
        registry.download("models:/vgsearch-grl/9")
    with pytest.raises(RegistryError, match="no alias 'best'"):
        registry.download("models:/vgsearch-grl@best")
    with pytest.raises(RegistryError, match="run deadbeef has no recorded checkpoint"):
        registry.download("runs:/deadbeef")


MALFORMED_REFERENCES = [
    "",
    "no/such/folder",
    "runs:/",
    "runs:/../../etc",
    "runs:/a/b",
    "runs:/x' or '1'='1",
    "models:/",
    "models:/../x/1",
    "models:/x",
    "models:/x/latest",
    "models:/x@a@b",
    "models:/x' or name LIKE '%/1",
    "models:/..@champion",
    "s3://bucket/x",
]


def test_malformed_references_are_refused(registry: Registry) -> None:
    for reference in MALFORMED_REFERENCES:
        with pytest.raises(RegistryError, match=r"a checkpoint is named by|may hold only") as caught:
            registry.download(reference)
        assert "\n" not in str(caught.value)
