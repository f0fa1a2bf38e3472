"""Trainings of translators in the registry, on both stores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vgsearch.config.translation import TranslationConfig
from vgsearch.errors import RegistryError
from vgsearch.models.file_hash import file_sha256
from vgsearch.registry.memory_registry import MemoryRegistry
from vgsearch.registry.protocol import Registry
from vgsearch.registry.translators import TranslatorRun
from vgsearch.translation.checkpoint import TrainingRecord

RECORD = TrainingRecord(
    TranslationConfig(),
    {name: {"folder": f"/photos/{name}", "photos": 3, "hash": name * 2} for name in ("night", "day")},
    ("tokyo_night/test",),
)


@pytest.fixture(params=["memory", "mlflow"])
def registry(request: pytest.FixtureRequest) -> Registry:
    return MemoryRegistry() if request.param == "memory" else request.getfixturevalue("mlflow_registry")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "epoch_0002"
    folder.mkdir()
    for name in (
        "translator.safetensors",
        "training.yaml",
        "metrics.json",
        "preview.jpg",
        "training_state.pt",
    ):
        (folder / name).write_text(name)
    return folder


def test_a_run_with_its_lineage_that_a_resume_finds_again(registry, checkpoint, monkeypatch):
    kept: dict[str, bytes] = {}
    monkeypatch.setattr(
        registry,
        "log_files",
        lambda run, folder, files: kept.update({f"{folder}/{n}": c for n, c in files.items()}),
    )
    run = TranslatorRun(registry, "translator", RECORD)
    run.log_epoch(1, {"train/cycle/night": 0.5})
    run.interrupt()
    (search,) = registry.searches()
    assert search.state == "interrupted"
    moved = TrainingRecord(
        RECORD.config, {name: {**facts, "folder": "/moved"} for name, facts in RECORD.photos.items()}
    )
    again = TranslatorRun(registry, "translator", moved)
    assert (again.run_id, again.uid) == (run.run_id, run.uid)
    again.log_epoch(2, {"train/cycle/night": 0.25})
    again.finish(checkpoint)
    (search,) = registry.searches()
    assert search.state == "complete"
    assert registry.trials("translator") == []
    assert registry.versions("translator") == []
    assert set(kept) == {
        f"translator/{name}"
        for name in ("translator.safetensors", "training.yaml", "metrics.json", "preview.jpg", "lineage.json")
    }
    lineage = json.loads(kept["translator/lineage.json"])
    assert lineage["sha256"] == file_sha256(checkpoint / "translator.safetensors")
    assert lineage["photos"]["day"]["hash"] == "dayday"
    assert lineage["transductive"] is False


def test_other_settings_are_another_run(registry):
    one = TranslatorRun(registry, "translator", RECORD)
    other = TrainingRecord(TranslationConfig(lr=1e-3), RECORD.photos)
    assert TranslatorRun(registry, "translator", other).run_id != one.run_id


def test_the_name_of_a_search_is_refused(registry):
    registry.open_search("pot", params={}, config_text="")
    with pytest.raises(RegistryError, match="'pot' is the name of a search"):
        TranslatorRun(registry, "pot", RECORD)
