"""What the MLflow registry writes, read back with sqlite3 and mlflow's own client."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.registry.dying_client import DiesAfter
from vgsearch.errors import CheckpointError, RegistryError, StorageError
from vgsearch.registry.mlflow_registry import MlflowRegistry
from vgsearch.registry.names import COMPLETE_TAG, FOLDER_TAG
from vgsearch.registry.records import TrialState

PARAMS = {"trial": {"lr": 1e-5}}


def rows(home: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(home / "mlflow.db")) as connection:
        return connection.execute(query).fetchall()


def open_both(registry: MlflowRegistry) -> tuple[str, str]:
    parent = registry.open_search("grl", params=PARAMS, config_text="name: grl\n")
    return parent, registry.open_trial(
        "grl", "t0", label="trial 0, arcface", params=PARAMS, spec_text="lr: 1\n"
    )


def test_the_tree_of_runs_is_what_the_ui_shows(mlflow_registry: MlflowRegistry, home: Path) -> None:
    parent, child = open_both(mlflow_registry)
    assert rows(home, "SELECT name FROM experiments WHERE name != 'Default'") == [("vgsearch/grl",)]
    names = dict(rows(home, "SELECT run_uuid, name FROM runs"))
    assert names == {parent: "grl", child: "trial 0, arcface"}
    tags = dict(rows(home, f"SELECT key, value FROM tags WHERE run_uuid = '{child}'"))
    assert tags["mlflow.parentRunId"] == parent
    assert (tags["vgsearch.uid"], tags["vgsearch.state"]) == ("t0", "running")
    artifacts = home / "artifacts" / "grl"
    assert (artifacts / parent / "artifacts" / "config.yaml").read_text() == "name: grl\n"
    assert (artifacts / child / "artifacts" / "trial.yaml").read_text() == "lr: 1\n"
    assert mlflow_registry.uri == f"sqlite:///{home}/mlflow.db"


def test_states_become_mlflow_statuses(mlflow_registry: MlflowRegistry, home: Path) -> None:
    _, child = open_both(mlflow_registry)
    query = f"SELECT status FROM runs WHERE run_uuid = '{child}'"
    ends: list[tuple[TrialState, str]] = [
        ("complete", "FINISHED"),
        ("stopped", "KILLED"),
        ("infeasible", "KILLED"),
        ("failed", "FAILED"),
        ("out_of_memory", "FAILED"),
    ]
    for state, status in ends:
        mlflow_registry.finish_trial(child, state, reason="why " * 5000)
        assert rows(home, query) == [(status,)]
        open_both(mlflow_registry)
        assert rows(home, query) == [("RUNNING",)]


def test_another_process_goes_on_where_the_first_was_killed(
    mlflow_registry: MlflowRegistry, home: Path, make_checkpoint: Callable[..., Path]
) -> None:
    before = open_both(mlflow_registry)
    mlflow_registry.log_epoch(before[1], 1, {"a": 1.0, "b": 2.0})
    version = mlflow_registry.record_checkpoint(
        before[1], make_checkpoint("t0", 1), search="grl", uid="t0", epoch=1
    )
    again = MlflowRegistry(home)
    assert again.open_trial("grl", "t0", label="x", params=PARAMS, spec_text="lr: 1\n") == before[1]
    assert open_both(again) == before
    again.log_epoch(before[1], 1, {"a": 7.0, "b": 7.0, "c": 3.0})
    again.log_epoch(before[1], 2, {"a": 8.0})
    points = rows(home, "SELECT key, step, value FROM metrics ORDER BY step, key")
    assert points == [("a", 1, 1.0), ("b", 1, 2.0), ("c", 1, 3.0), ("a", 2, 8.0)]
    repeated = again.record_checkpoint(before[1], make_checkpoint("t0", 1), search="grl", uid="t0", epoch=1)
    assert repeated == version
    assert len(rows(home, "SELECT version FROM model_versions")) == 1


@pytest.mark.parametrize("after", [False, True])
def test_a_kill_at_any_call_leaves_nothing_half_offered(
    mlflow_registry: MlflowRegistry, home: Path, make_checkpoint: Callable[..., Path], after: bool
) -> None:
    checkpoint = make_checkpoint("t0", 2)
    store = mlflow_registry._store
    client = store.client

    def everything() -> None:
        _, child = open_both(mlflow_registry)
        mlflow_registry.log_epoch(child, 1, {"a": 1.0})
        mlflow_registry.record_checkpoint(
            child, checkpoint, search="grl", uid="t0", epoch=2, tags={"vgsearch.architecture": "abc"}
        )
        mlflow_registry.set_champion("grl", "1")
        mlflow_registry.finish_trial(child, "complete")

    for calls in range(1, 200):
        mlflow_registry._opened.clear()
        mlflow_registry._recorded.clear()
        store.client = DiesAfter(client, calls, after=after)  # type: ignore[assignment]
        try:
            everything()
        except KeyboardInterrupt:
            store.client = client
            try:
                offered = mlflow_registry.versions("grl")
            except RegistryError:
                offered = []
            for version in offered:
                folder = mlflow_registry.download(version.reference)
                assert (folder / "model.safetensors").read_bytes() == b"weights"
                assert version.tags["vgsearch.architecture"] == "abc"
        else:
            break
    assert calls > 10
    assert len(rows(home, "SELECT * FROM runs")) == 2
    assert len(rows(home, "SELECT * FROM metrics")) == 1
    assert rows(home, "SELECT version FROM model_versions") == [(1,)]
    store.client = client
    assert mlflow_registry.trials("grl")[0].state == "complete"
    assert mlflow_registry.trials("grl")[0].params == {"trial.lr": "1e-05"}


def test_an_incomplete_version_is_offered_to_nobody(
    mlflow_registry: MlflowRegistry, make_checkpoint: Callable[..., Path]
) -> None:
    _, child = open_both(mlflow_registry)
    mlflow_registry.record_checkpoint(child, make_checkpoint("t0", 1), search="grl", uid="t0", epoch=1)
    mlflow_registry.set_champion("grl", "1")
    mlflow_registry._store.client.delete_model_version_tag("vgsearch-grl", "1", COMPLETE_TAG)
    assert mlflow_registry.versions("grl") == []
    with pytest.raises(RegistryError, match="no champion yet"):
        mlflow_registry.champion("grl")
    for reference in ("models:/vgsearch-grl/1", "models:/vgsearch-grl@champion", f"runs:/{child}"):
        with pytest.raises(RegistryError, match="no recorded"):
            mlflow_registry.download(reference)


def test_a_path_in_the_store_cannot_lead_out(
    mlflow_registry: MlflowRegistry, make_checkpoint: Callable[..., Path]
) -> None:
    _, child = open_both(mlflow_registry)
    mlflow_registry.record_checkpoint(child, make_checkpoint("t0", 1), search="grl", uid="t0", epoch=1)
    for folder in ("../../../secret", "checkpoint/..", "checkpoint", "/etc/passwd", "checkpoint/a/b"):
        mlflow_registry._store.client.set_model_version_tag("vgsearch-grl", "1", FOLDER_TAG, folder)
        with pytest.raises(RegistryError, match="artifact path"):
            mlflow_registry.download("models:/vgsearch-grl/1")


def test_links_and_changed_weights_are_refused(
    mlflow_registry: MlflowRegistry, make_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    _, child = open_both(mlflow_registry)
    version = mlflow_registry.record_checkpoint(
        child, make_checkpoint("t0", 1), search="grl", uid="t0", epoch=1
    )
    folder = mlflow_registry.download(version.reference)
    (folder / "link").symlink_to("/etc/passwd")
    with pytest.raises(RegistryError, match="no plain file"):
        mlflow_registry.download(version.reference)
    (folder / "link").unlink()
    (folder / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(CheckpointError, match="is not the file that was recorded"):
        mlflow_registry.download(version.reference)
    outside = tmp_path / "outside"
    shutil.move(folder, outside)
    folder.symlink_to(outside)
    with pytest.raises(RegistryError, match="leads out of"):
        mlflow_registry.download(version.reference)


def test_a_moved_home_still_gives_its_checkpoints(
    mlflow_registry: MlflowRegistry, home: Path, make_checkpoint: Callable[..., Path]
) -> None:
    _, child = open_both(mlflow_registry)
    mlflow_registry.record_checkpoint(child, make_checkpoint("t0", 1), search="grl", uid="t0", epoch=1)
    moved = home.rename(home.with_name("moved"))
    registry = MlflowRegistry(moved)
    assert registry.download(f"runs:/{child}").is_relative_to(moved)
    with pytest.raises(RegistryError, match="were recorded under .*my runs.*move the home folder back"):
        registry.open_search("grl", params={}, config_text="")
    assert not home.exists()


def test_a_deleted_experiment_is_explained(mlflow_registry: MlflowRegistry, home: Path) -> None:
    open_both(mlflow_registry)
    ((experiment_id,),) = rows(home, "SELECT experiment_id FROM experiments WHERE name = 'vgsearch/grl'")
    mlflow_registry._store.client.delete_experiment(str(experiment_id))
    with pytest.raises(RegistryError, match="was deleted in MLflow: restore it"):
        open_both(mlflow_registry)
    assert mlflow_registry.searches() == []


def test_a_full_disk_is_a_storage_error(
    mlflow_registry: MlflowRegistry, make_checkpoint: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, child = open_both(mlflow_registry)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(mlflow_registry._store.client, "log_artifact", full)
        with pytest.raises(StorageError, match="No space left on device"):
            mlflow_registry.record_checkpoint(
                child, make_checkpoint("t0", 1), search="grl", uid="t0", epoch=1
            )
    assert mlflow_registry.versions("grl") == []


def test_a_database_that_breaks_under_way_is_one_line(
    mlflow_registry: MlflowRegistry, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    _, child = open_both(mlflow_registry)
    with closing(sqlite3.connect(home / "mlflow.db")) as connection:
        connection.execute("ALTER TABLE metrics RENAME TO gone")
    with pytest.raises(RegistryError, match="no such table: metrics") as caught:
        mlflow_registry.log_epoch(child, 1, {"a": 1.0})
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_an_epoch_whose_answer_was_lost_is_recorded_once(
    mlflow_registry: MlflowRegistry, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.exceptions import MlflowException

    _, child = open_both(mlflow_registry)
    client = mlflow_registry._store.client
    real = client.log_batch

    def lose_the_answer(*args: Any, **kwargs: Any) -> None:
        real(*args, **kwargs)
        raise MlflowException("timed out")

    mlflow_registry.log_epoch(child, 1, {"a": 1.0})
    with monkeypatch.context() as patch:
        patch.setattr(client, "log_batch", lose_the_answer)
        with pytest.raises(RegistryError, match="timed out"):
            mlflow_registry.log_epoch(child, 2, {"a": 2.0})
    mlflow_registry.log_epoch(child, 2, {"a": 2.0})
    assert rows(home, "SELECT key, step, value FROM metrics ORDER BY step") == [("a", 1, 1.0), ("a", 2, 2.0)]


def test_files_lie_where_the_ui_shows_them(mlflow_registry: MlflowRegistry, home: Path) -> None:
    parent, _ = open_both(mlflow_registry)
    mlflow_registry.log_files(parent, "provenance/resume_2", {"git.txt": b"a", "git.diff": b"\x00"})
    mlflow_registry.log_files(parent, "provenance/resume_2", {"git.txt": b"b"})
    folder = home / "artifacts" / "grl" / parent / "artifacts" / "provenance" / "resume_2"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "git.txt": b"b",
        "git.diff": b"\x00",
    }
