"""`vgsearch gc` as a user types it, on a home with a real MLflow store."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from vgsearch.cli.gc import _size
from vgsearch.registry.mlflow_registry import MlflowRegistry
from vgsearch.search.study import Study


@pytest.fixture
def home(tmp_path: Path, empty_store: Path) -> Path:
    home = tmp_path / "runs"
    (home / "trials").mkdir(parents=True)
    shutil.copyfile(empty_store, home / "mlflow.db")
    for name, size in (("gone-1f2e-0003", 2_500_000), ("grl_train-0123abcd", 10), ("grl_train-ffffffff", 10)):
        (home / "trials" / name).mkdir()
        (home / "trials" / name / "model.safetensors").write_bytes(b"x" * size)
    registry = MlflowRegistry(home)
    registry.open_search("grl_train", params={}, config_text="")
    registry.open_trial("grl_train", "grl_train-0123abcd", label="", params={}, spec_text="")
    return home


def test_look_first_then_delete(vgsearch, home):
    run = vgsearch("gc", "--dry-run")
    assert (run.code, run.err) == (0, "")
    assert run.out.splitlines() == [
        "   2.5 MB  trials/gone-1f2e-0003  (no study has this trial of search 'gone')",
        "     10 B  trials/grl_train-ffffffff  (MLflow has no such training run)",
        f"2 items, 2.5 MB would be deleted from {home}",
    ]
    assert len(list((home / "trials").iterdir())) == 3
    run = vgsearch("gc")
    assert run.out.splitlines()[-1] == f"2 items, 2.5 MB deleted from {home}"
    assert [path.name for path in (home / "trials").iterdir()] == ["grl_train-0123abcd"]
    assert vgsearch("gc").out == f"nothing to delete in {home}\n"


def test_a_running_search_is_named(vgsearch, home):
    study = Study.create(home, "gone", {})
    try:
        run = vgsearch("gc")
    finally:
        study.close()
    assert run.out.startswith("search 'gone' is running: nothing of it is touched\n")
    assert (home / "trials" / "gone-1f2e-0003").is_dir()


def test_a_store_that_does_not_answer_costs_no_training_run(vgsearch, home, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    run = vgsearch("gc")
    assert run.code == 0
    assert "downloads and training runs are kept" in run.out
    assert "1 item, 2.5 MB deleted" in run.out
    assert (home / "trials" / "grl_train-ffffffff").is_dir()


def test_a_home_that_is_not_there(vgsearch, tmp_path):
    run = vgsearch("gc", "--home", tmp_path / "nowhere")
    assert run.code == 2
    assert (
        run.err
        == f"error: {tmp_path / 'nowhere'} does not exist: name the folder of your searches with --home\n"
    )
    assert not (tmp_path / "nowhere").exists()


def test_sizes_are_readable():
    sizes = [0, 999, 1000, 12_345, 999_499, 999_500, 2_500_000, 3 * 10**9, 4 * 10**13]
    assert [_size(size) for size in sizes] == [
        "0 B", "999 B", "1 kB", "12.3 kB", "999 kB", "1 MB", "2.5 MB", "3 GB", "40 TB",
    ]  # fmt: skip
