from __future__ import annotations

from pathlib import Path

import pytest

from vgsearch.errors import StorageError
from vgsearch.training.shelf import prune_checkpoints


def _shelf(folder: Path, *epochs: int) -> Path:
    for epoch in epochs:
        checkpoint = folder / f"epoch_{epoch:04d}"
        checkpoint.mkdir()
        for name in ("model.safetensors", "training_state.pt"):
            (checkpoint / name).write_bytes(b"x")
    return folder


def _names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_keeps_latest_with_state_and_best_without(tmp_path: Path) -> None:
    prune_checkpoints(_shelf(tmp_path, 1, 2, 3, 4), latest_epoch=4, best_epoch=2)
    assert _names(tmp_path) == [
        "epoch_0002/model.safetensors",
        "epoch_0004/model.safetensors",
        "epoch_0004/training_state.pt",
    ]


def test_latest_that_is_best_keeps_its_state(tmp_path: Path) -> None:
    prune_checkpoints(_shelf(tmp_path, 1, 2), latest_epoch=2, best_epoch=2)
    assert _names(tmp_path) == ["epoch_0002/model.safetensors", "epoch_0002/training_state.pt"]


def test_finishes_an_interrupted_deletion_and_leaves_strangers(tmp_path: Path) -> None:
    _shelf(tmp_path, 1, 3)
    (tmp_path / "epoch_0001").rename(tmp_path / ".deleting-epoch_0001")
    (tmp_path / "notes.txt").write_text("mine")
    prune_checkpoints(tmp_path, latest_epoch=3, best_epoch=3)
    assert _names(tmp_path) == ["epoch_0003/model.safetensors", "epoch_0003/training_state.pt", "notes.txt"]


def test_epochs_of_more_than_four_digits(tmp_path: Path) -> None:
    prune_checkpoints(_shelf(tmp_path, 9999, 10000), latest_epoch=10000, best_epoch=10000)
    assert [path.name for path in tmp_path.iterdir()] == ["epoch_10000"]


def test_failure_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(StorageError, match="an old checkpoint cannot be deleted .Read-only file system."):
        prune_checkpoints(_shelf(tmp_path, 1, 2), latest_epoch=2, best_epoch=2)
