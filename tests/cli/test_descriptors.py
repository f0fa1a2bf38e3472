"""`vgsearch descriptors` and the store behind `evaluate`, as a user types it, on the tiny city."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from vgsearch.config.search import DataConfig, EvalConfig, TrialSpec
from vgsearch.config.trial import TrialConfig
from vgsearch.models.checkpoint import MODEL_FILE, save_checkpoint
from vgsearch.models.ensemble import EnsembleMember, save_ensemble
from vgsearch.models.network import build_network
from vgsearch.models.precision import pick_device, resolve_scoring_precision
from vgsearch.registry.mlflow_registry import MlflowRegistry
from vgsearch.retrieval.descriptor_key import arithmetic
from vgsearch.retrieval.descriptor_store import entry_lock

TRIAL = TrialConfig(backbone="test_resnet.r160_in1k", weights="none", descriptor_dim=16)


@pytest.fixture(scope="module")
def trained(tiny_city: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two checkpoints of networks with their initial weights; not to be changed."""
    data = DataConfig(
        train=str(tiny_city / "train"),
        val=str(tiny_city / "val_day"),
        tests={"day": str(tiny_city / "test_day")},
    )
    folders = []
    for seed in range(2):
        trial = TRIAL.model_copy(update={"seed": seed})
        spec = TrialSpec(
            search="quick", uid=f"quick-{seed}", trial=trial, data=data, eval=EvalConfig(resize_px=64)
        )
        folder = tmp_path_factory.mktemp("models") / "epoch_0001"
        save_checkpoint(folder, build_network(trial), spec, {"epoch": 1})
        folders.append(folder)
    return folders


@pytest.fixture
def checkpoints(trained: list[Path], own_store: None) -> list[Path]:
    """The two checkpoints, and an empty MLflow store."""
    return trained


@pytest.fixture
def registered(tmp_path: Path, checkpoints: list[Path]) -> str:
    """The first checkpoint as a version with the alias `champion`."""
    registry = MlflowRegistry(tmp_path / "runs")
    registry.open_search("quick", params={}, config_text="")
    run_id = registry.open_trial("quick", "quick-0", label="", params={}, spec_text="")
    version = registry.record_checkpoint(run_id, checkpoints[0], search="quick", uid="quick-0", epoch=1)
    registry.set_champion("quick", version.version)
    return version.reference


def entries(tmp_path: Path) -> list[Path]:
    root = tmp_path / "runs" / "descriptors"
    return [path for path in root.iterdir() if path.name != "locks"] if root.exists() else []


def recalls(out: str) -> list[str]:
    return re.findall(r"R@1 .*?queries", out)


def test_a_second_evaluation_extracts_nothing(vgsearch, checkpoints, forward_passes, tmp_path):
    first = vgsearch("evaluate", checkpoints[0], "--on", "val", "--on", "day")
    assert (first.code, first.err) == (0, "")
    assert sum(forward_passes) > 0
    assert "stored" not in first.out
    forward_passes.clear()
    second = vgsearch("evaluate", checkpoints[0], "--on", "val", "--on", "day", "--batch-size", "3")
    assert (second.code, second.err) == (0, "")
    assert forward_passes == []
    assert second.out.count("; from stored descriptors") == 2
    assert recalls(second.out) == recalls(first.out)
    assert len(recalls(first.out)) == 2
    third = vgsearch("evaluate", checkpoints[0], "--on", "val", "--resize-px", "48")
    assert "stored" not in third.out
    assert sum(forward_passes) > 0


def test_a_weight_that_changed_is_another_model(vgsearch, checkpoints, forward_passes):
    assert vgsearch("evaluate", checkpoints[0], "--on", "val").code == 0
    forward_passes.clear()
    assert "stored" not in vgsearch("evaluate", checkpoints[1], "--on", "val").out
    assert sum(forward_passes) > 0


def test_no_store_leaves_it_alone(vgsearch, checkpoints, forward_passes, tmp_path):
    without = vgsearch("evaluate", checkpoints[0], "--on", "val", "--no-store")
    assert without.code == 0
    assert not (tmp_path / "runs" / "descriptors").exists()
    count = sum(forward_passes)
    with_store = vgsearch("evaluate", checkpoints[0], "--on", "val")
    assert recalls(with_store.out) == recalls(without.out)
    vgsearch("evaluate", checkpoints[0], "--on", "val", "--no-store")
    assert sum(forward_passes) == 3 * count


def test_a_damaged_entry_is_one_line_and_the_same_recall(vgsearch, checkpoints, tmp_path):
    first = vgsearch("evaluate", checkpoints[0], "--on", "val")
    for entry in entries(tmp_path):
        os.truncate(entry / "descriptors.npy", 200)
    again = vgsearch("evaluate", checkpoints[0], "--on", "val")
    assert again.code == 0
    assert recalls(again.out) == recalls(first.out)
    lines = again.err.splitlines()
    assert len(lines) == 2  # database and queries
    assert all("were damaged and are made anew" in line for line in lines)
    assert "stored" not in again.out


def test_a_store_that_cannot_be_written(vgsearch, checkpoints, tmp_path):
    (tmp_path / "runs" / "descriptors").write_text("a file where the folder should be")
    run = vgsearch("evaluate", checkpoints[0], "--on", "val")
    assert run.code == 2
    assert run.err.startswith("error: ")
    assert len(run.err.splitlines()) == 1
    assert "--no-store" in run.err
    assert vgsearch("evaluate", checkpoints[0], "--on", "val", "--no-store").code == 0


def test_training_does_not_fill_the_store(vgsearch, space_file, own_city, tmp_path):
    assert vgsearch("train", space_file, "--set", "trial.loss.name=cosface").code == 0
    assert not (tmp_path / "runs" / "descriptors").exists()


@pytest.mark.slow
def test_an_ensemble_is_evaluated_and_stored_as_any_model(vgsearch, checkpoints, forward_passes, tmp_path):
    members = [EnsembleMember(folder, str(folder), f"quick-{i}", 1) for i, folder in enumerate(checkpoints)]
    folder = save_ensemble(tmp_path / "both", members, fusion="similarity", weights=[2, 1], metrics={})
    first = vgsearch("evaluate", folder, "--on", "val")
    assert (first.code, first.err) == (0, "")
    assert sum(forward_passes) > 0
    forward_passes.clear()
    again = vgsearch("evaluate", folder, "--on", "val")
    assert recalls(again.out) == recalls(first.out)
    assert "from stored descriptors" in again.out
    assert forward_passes == []
    # Other coefficients over the same tensors are another model.
    other = save_ensemble(tmp_path / "other", members, fusion="similarity", weights=[1, 1], metrics={})
    assert "stored" not in vgsearch("evaluate", other, "--on", "val").out


def test_warm_then_evaluate(vgsearch, checkpoints, forward_passes, tmp_path):
    run = vgsearch("descriptors", "warm", *checkpoints, "--on", "val", "--on", "day")
    assert (run.code, run.err) == (0, "")
    assert len(run.out.splitlines()) == 4
    assert all("images described" in line and "stored" in line for line in run.out.splitlines())
    forward_passes.clear()
    run = vgsearch("descriptors", "warm", *checkpoints, "--on", "val", "--on", "day")
    assert [line.rsplit(": ", 1)[1] for line in run.out.splitlines()] == ["stored already"] * 4
    for folder in checkpoints:
        assert "from stored descriptors" in vgsearch("evaluate", folder, "--on", "val").out
    assert forward_passes == []


def test_listing_in_a_pipe_of_80_columns(vgsearch, registered, tiny_city, tmp_path, monkeypatch):
    precision = resolve_scoring_precision("auto", pick_device())
    vgsearch("evaluate", "models:/vgsearch-quick@champion", "--on", "val")
    monkeypatch.setenv("COLUMNS", "80")
    run = vgsearch("descriptors", "ls")
    assert (run.code, run.err) == (0, "")
    lines = run.out.splitlines()
    assert all(len(line) <= 80 for line in lines[:-1])
    # The alias may move; what is listed is the version that it meant.
    assert (
        lines[0]
        == f"{registered} (query_method native, resize_px 64, {arithmetic(pick_device(), precision)})"
    )
    assert lines[1].split() == ["key", "size", "made", "rows", "images"]
    made = entries(tmp_path)
    assert len(made) == 2
    for entry in made:
        (row,) = (line for line in lines if line.startswith(entry.name[:8]))
        key, size, unit, date, time, count, _, dim, images = row.split()
        size_bytes = sum(file.stat().st_size for file in entry.iterdir())
        assert f"{size} {unit}" == f"{size_bytes / 1000:.3g} kB"
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d", f"{date} {time}")
        assert images in ("val_day/database", "val_day/queries")
        assert (int(count), dim) == (len(list((tiny_city / images).glob("*.jpg"))), "16")
    total = sum(file.stat().st_size for entry in made for file in entry.iterdir())
    assert lines[-1] == f"2 entries, {total / 1000:.3g} kB in {tmp_path / 'runs' / 'descriptors'}"


def test_listing_nothing(vgsearch, tmp_path):
    run = vgsearch("descriptors", "ls")
    assert run.out == f"no descriptors in {tmp_path / 'runs' / 'descriptors'}\n"
    assert not (tmp_path / "runs").exists()


def test_listing_what_is_damaged_or_unfinished(vgsearch, checkpoints, tmp_path):
    vgsearch("evaluate", checkpoints[0], "--on", "val")
    first, second = entries(tmp_path)
    (first / "entry.json").write_text("{")
    leftover = first.with_name(f".{'0' * 32}.0a1b2c3d.tmp")
    leftover.mkdir()
    (leftover / "descriptors.npy").write_bytes(b"x" * 5000)
    run = vgsearch("descriptors", "ls")
    row = next(line for line in run.out.splitlines() if line.startswith(first.name[:8]))
    assert row.endswith("made anew at its next use")
    assert "and 5 kB being written or left by killed processes" in run.out
    run = vgsearch("descriptors", "rm", "--unused")
    assert run.code == 0, run.err
    assert entries(tmp_path) == []
    assert "5 kB  left by killed processes" in run.out


def test_removing_by_key(vgsearch, checkpoints, tmp_path):
    vgsearch("evaluate", checkpoints[0], "--on", "val")
    first, second = entries(tmp_path)
    run = vgsearch("descriptors", "rm", first.name[:8])
    assert run.code == 0
    assert run.out.splitlines()[-1].endswith("1 kept")
    assert "1 entry" in run.out
    assert first.name[:8] in run.out
    assert entries(tmp_path) == [second]
    run = vgsearch("descriptors", "rm", first.name[:8])
    assert (run.code, run.err) == (
        2,
        f"error: no key begins with {first.name[:8]}; vgsearch descriptors ls shows all\n",
    )
    twin = second.with_name(second.name[:8] + "0" * 24)
    second.rename(twin)
    second.with_name(second.name[:8] + "1" * 24).mkdir()
    run = vgsearch("descriptors", "rm", second.name[:8])
    assert run.code == 2
    assert "2 keys begin with" in run.err


def test_removing_by_model(vgsearch, checkpoints, registered, tmp_path):
    for folder in checkpoints:
        vgsearch("evaluate", folder, "--on", "val")
    assert len(entries(tmp_path)) == 4
    run = vgsearch("descriptors", "rm", registered)
    assert run.code == 0
    assert len(entries(tmp_path)) == 2
    assert run.out.splitlines()[-1].endswith(", 2 kept")
    run = vgsearch("descriptors", "rm", registered)
    assert run.code == 2
    assert f"nothing that {registered} made is stored" in run.err
    assert vgsearch("descriptors", "rm", checkpoints[1]).code == 0
    assert entries(tmp_path) == []


def test_removing_what_no_version_has(vgsearch, checkpoints, registered, tmp_path):
    for folder in checkpoints:
        vgsearch("evaluate", folder, "--on", "val")
    run = vgsearch("descriptors", "rm", "--unused")
    assert run.code == 0
    assert run.out.splitlines()[-1].endswith(", 2 kept")
    assert "from stored descriptors" in vgsearch("evaluate", registered, "--on", "val").out
    assert vgsearch("descriptors", "rm", "--unused").out.startswith("nothing to delete in ")


def test_nobody_can_tell_without_an_mlflow_store(vgsearch, checkpoints, tmp_path):
    vgsearch("evaluate", checkpoints[0], "--on", "val")
    (tmp_path / "runs" / "mlflow.db").unlink()
    run = vgsearch("descriptors", "rm", "--unused")
    assert run.code == 2
    assert "has no MLflow store" in run.err
    assert len(entries(tmp_path)) == 2
    assert not (tmp_path / "runs" / "mlflow.db").exists()


def test_removing_all(vgsearch, checkpoints, tmp_path):
    vgsearch("evaluate", checkpoints[0], "--on", "val")
    busy, other = entries(tmp_path)
    with entry_lock(tmp_path / "runs" / "descriptors", busy.name):
        run = vgsearch("descriptors", "rm", "--all")
        assert run.code == 0
        assert f"{busy.name[:8]} is being made just now and stays" in run.out
    assert entries(tmp_path) == [busy]
    assert vgsearch("descriptors", "rm", "--all").code == 0
    assert entries(tmp_path) == []
    assert "nothing to delete" in vgsearch("descriptors", "rm", "--all").out


def test_removing_nothing_in_particular(vgsearch):
    run = vgsearch("descriptors", "rm")
    assert run.code == 2
    assert run.err.startswith("error: say what to delete")


def test_a_model_that_is_none(vgsearch, own_store, tmp_path):
    for command in (("rm", "nothing"), ("warm", "nothing", "--on", "val")):
        run = vgsearch("descriptors", *command)
        assert run.code == 2
        assert run.err.startswith("error: nothing is no checkpoint folder")


def test_weights_that_are_missing(vgsearch, checkpoints, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(checkpoints[0], folder)
    (folder / MODEL_FILE).unlink()
    run = vgsearch("evaluate", folder, "--on", "val")
    assert run.code == 2
    assert len(run.err.splitlines()) == 1
    assert str(folder) in run.err
