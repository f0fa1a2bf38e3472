"""Homes with several searches, made by hand as the commands make them."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from filelock import FileLock
from optuna.trial import TrialState, create_trial

from vgsearch.errors import StorageError
from vgsearch.models.atomic_folder import sibling
from vgsearch.registry.memory_registry import MemoryRegistry
from vgsearch.registry.mlflow_spool import SPOOL_FOLDER
from vgsearch.registry.spool import SpooledRegistry
from vgsearch.search.gc import delete, find_unreferenced, has_training_runs, running_searches
from vgsearch.search.study import Study, journal_path


def make(path: Path, size_bytes: int = 10) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size_bytes)
    return path


def age(path: Path) -> None:
    long_ago = time.time() - 100_000
    os.utime(path, (long_ago, long_ago))


def search_with_trials(home: Path, name: str, num_trials: int) -> list[str]:
    """Make a search with a folder for each trial; returns the uids."""
    study = Study.create(home, name, {})
    for _ in range(num_trials):
        value = optuna.distributions.FloatDistribution(0, 1)
        study.add_running(
            create_trial(state=TrialState.RUNNING, params={"x": 0.5}, distributions={"x": value})
        )
    uids = [study.uid(number) for number in range(num_trials)]
    for uid in uids:
        make(home / "trials" / uid / "epoch_0001" / "model.safetensors", 1000)
    make(home / "ray" / f"{name}-20260101-101010-123" / uids[0] / "result.json", 50)
    study.close()
    return uids


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "runs"
    search_with_trials(home, "grl", 2)
    search_with_trials(home, "grl-2", 1)
    make(home / "mlflow.db")
    make(home / "mlflow.db.lock", 0)
    make(home / "artifacts" / "grl" / "a" / "artifacts" / "config.yaml")
    return home


def garbage(home: Path, **known: object) -> dict[str, int]:
    return {
        str(item.path.relative_to(home)): item.size_bytes
        for item in find_unreferenced(home, **known)  # type: ignore[arg-type]
    }


def everything(home: Path) -> set[Path]:
    return set(home.rglob("*"))


def test_what_is_in_use_is_kept(home: Path) -> None:
    before = everything(home)
    assert garbage(home) == {"ray/grl-20260101-101010-123": 50, "ray/grl-2-20260101-101010-123": 50}
    assert everything(home) == before


def test_trials_of_forgotten_searches_go(home: Path) -> None:
    gone = search_with_trials(home, "gone", 2)
    journal_path(home, "gone").unlink()
    # A search that was deleted by hand and begun again has another token in its uids.
    before = search_with_trials(home, "again", 1)
    journal_path(home, "again").unlink()
    (now,) = search_with_trials(home, "again", 1)
    make(home / "ray" / "gone-20260101-101010" / "x", 7)
    make(home / "trials" / gone[0] / "epoch_0002" / "more", 5)
    found = garbage(home)
    assert found[f"trials/{gone[0]}"] == 1005
    assert found[f"trials/{gone[1]}"] == found[f"trials/{before[0]}"] == 1000
    assert found["ray/gone-20260101-101010"] == 7
    assert f"trials/{now}" not in found
    assert not any("grl" in path and "ray" not in path for path in found)
    deleted = delete(find_unreferenced(home))
    assert {str(item.path.relative_to(home)) for item in deleted} == set(found)
    assert garbage(home) == {}
    assert sorted(path.name for path in (home / "trials").iterdir()) == sorted(
        [now, *(p.name for p in (home / "trials").glob("grl*"))]
    )
    assert len(list((home / "trials").iterdir())) == 4


def hold(
    lock: Path, held: multiprocessing.synchronize.Event, done: multiprocessing.synchronize.Event
) -> None:
    with FileLock(lock):
        held.set()
        done.wait(60)


@pytest.fixture
def in_another_process() -> Iterator[object]:
    """Hold locks in other processes until the test is over."""
    context = multiprocessing.get_context("spawn")
    done = context.Event()
    processes = []

    def start(lock: Path) -> None:
        held = context.Event()
        process = context.Process(target=hold, args=(lock, held, done))
        process.start()
        processes.append(process)
        assert held.wait(60)

    yield start
    done.set()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0


def test_nothing_of_a_running_search_is_touched(home: Path, in_another_process) -> None:  # type: ignore[no-untyped-def]
    (uid,) = (path.name for path in (home / "trials").glob("grl-2-*"))
    for search, own in (("grl", next((home / "trials").glob("grl-????-0000")).name), ("grl-2", uid)):
        make(home / "trials" / f"{search}-0bad-0007" / "x")
        make(sibling(home / "trials" / own / "epoch_0009") / "x")
        make(home / "trials" / own / ".deleting-epoch_0001" / "x")
    listed = find_unreferenced(home)
    assert len(listed) == 8
    in_another_process(home / "studies" / "grl-2.lock")
    assert running_searches(home) == ["grl-2"]
    found = garbage(home)
    assert len(found) == 4
    assert not any("/grl-2-" in path for path in found)
    # What was listed before the driver started stays too.
    assert {item.path.relative_to(home).as_posix() for item in delete(listed)} == set(found)
    assert (home / "trials" / "grl-2-0bad-0007").is_dir()
    assert (home / "studies" / "grl-2.lock").exists()


def test_a_study_that_cannot_be_read_keeps_its_trials(home: Path) -> None:
    gone = search_with_trials(home, "broken", 1)
    journal_path(home, "broken").write_text("{]\n{}\n")
    assert f"trials/{gone[0]}" not in garbage(home)


def test_training_runs_are_known_by_mlflow_alone(home: Path, in_another_process) -> None:  # type: ignore[no-untyped-def]
    assert not has_training_runs(home)
    for uid in ("grl_train-0123abcd", "grl_train-ffffffff", "other_train-0123abcd"):
        make(home / "trials" / uid / "epoch_0001" / "x")
        make(home / "trials" / f"{uid}.lock", 0)
    assert has_training_runs(home)
    rays = set(garbage(home))
    assert set(garbage(home, training_runs={})) == rays
    known = {"grl_train": {"grl_train-0123abcd"}}
    assert set(garbage(home, training_runs=known)) - rays == {"trials/grl_train-ffffffff"}
    in_another_process(home / "trials" / "grl_train-ffffffff.lock")
    assert set(garbage(home, training_runs=known)) == rays


def test_leftovers_of_interrupted_writes_go(home: Path) -> None:
    trial = next((home / "trials").glob("grl-????-0000"))
    for name in (".epoch_0002.12ab34cd.tmp", ".finale_epoch_0001.partial", ".deleting-epoch_0001"):
        make(trial / name / "x", 3)
    make(trial / "finale_epoch_0001" / "tests" / "day.npz")
    make(trial / ".notes")
    found = garbage(home)
    assert {path for path in found if path.startswith("trials")} == {
        f"trials/{trial.name}/{name}"
        for name in (".epoch_0002.12ab34cd.tmp", ".finale_epoch_0001.partial", ".deleting-epoch_0001")
    }
    make(home / "mlflow.db.creating", 20)
    assert garbage(home)["mlflow.db.creating"] == 20
    (home / "mlflow.db").write_bytes(b"")
    assert "mlflow.db.creating" not in garbage(home)


def test_downloads_of_versions_that_are_gone_go(home: Path) -> None:
    kept = home / "downloads" / "run1" / "epoch_0003"
    for folder in (
        kept,
        home / "downloads" / "run1" / "epoch_0004",
        home / "downloads" / "run2" / "epoch_0001",
    ):
        make(folder / "model.safetensors", 100)
    young = make(home / "downloads" / "run1" / ".epoch_0005.abc" / "x").parent
    assert not any(path.startswith("downloads") for path in garbage(home))
    found = {path for path in garbage(home, downloads={kept}) if path.startswith("downloads")}
    assert found == {"downloads/run1/epoch_0004", "downloads/run2/epoch_0001"}
    age(young)
    assert "downloads/run1/.epoch_0005.abc" in garbage(home)


def test_spools_in_which_nothing_waits_go(home: Path) -> None:
    memory = MemoryRegistry()
    registry = SpooledRegistry(lambda: memory, home / SPOOL_FOLDER)
    for name in ("grl", "gone"):
        registry.open_search(name, params={}, config_text="")
    make(home / SPOOL_FOLDER / "gone.refused.jsonl", 0)
    make(home / SPOOL_FOLDER / "other.refused.jsonl", 5)
    make(home / SPOOL_FOLDER / "torn.jsonl", 5)
    found = {path for path in garbage(home) if path.startswith(SPOOL_FOLDER)}
    assert found == {f"{SPOOL_FOLDER}/{name}" for name in ("gone.jsonl", "gone.refused.jsonl", "torn.jsonl")}
    # What waits is kept, and so are the trial folders that it refers to.
    trial = search_with_trials(home, "gone", 1)[0]
    journal_path(home, "gone").unlink()
    assert f"trials/{trial}" in garbage(home)
    with (home / SPOOL_FOLDER / "gone.jsonl").open("a") as journal:
        journal.write('{"call": "crown", "arguments": {"search": "gone", "uid": "x"}}\n{"torn')
    found = set(garbage(home))
    assert f"{SPOOL_FOLDER}/gone.jsonl" not in found
    assert f"trials/{trial}" not in found
    assert (home / SPOOL_FOLDER / "gone.jsonl").read_text().endswith('{"torn')


def test_what_is_not_ours_is_kept(home: Path, tmp_path: Path) -> None:
    before = set(garbage(home))
    outside = make(tmp_path / "outside" / "precious").parent
    for name in ("notes", "x-1234", "x_train-xyz", "a.b", "README"):
        make(home / "trials" / name / "x")
        make(home / "ray" / name / "x")
    for link in (home / "trials" / "old-1f2e-0001", home / "ray" / "old-20260101-101010"):
        link.symlink_to(outside)
    make(home / "trials" / "file-1f2e-0001")
    make(home / "ray" / "file-20260101-101010")
    make(home / "notes.txt")
    make(home / "studies" / "old.lock", 0)
    assert set(garbage(home, training_runs={}, downloads=set())) == before
    # A link inside of what is deleted is cut, not followed.
    make(home / "trials" / "gone-1f2e-0001" / "x")
    (home / "trials" / "gone-1f2e-0001" / "link").symlink_to(outside)
    delete(find_unreferenced(home))
    assert (outside / "precious").exists()
    assert not (home / "trials" / "gone-1f2e-0001").exists()


def test_an_empty_home_has_none(tmp_path: Path) -> None:
    assert garbage(tmp_path, training_runs={}, downloads=set()) == {}
    assert running_searches(tmp_path) == []
    assert everything(tmp_path) == set()


def test_what_cannot_be_deleted_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    # In place of a folder without write permission, which means nothing to root.
    monkeypatch.setattr("vgsearch.search.gc.shutil.rmtree", refuse)
    folder = home / "ray" / "grl-2-20260101-101010-123"
    with pytest.raises(StorageError, match=f"cannot delete {folder}: Permission denied"):
        delete(find_unreferenced(home))
