from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vgsearch.errors import StorageError
from vgsearch.registry.checkpoint_files import copy_recorded, place_folder


def test_a_copy_replaces_what_was_there(make_checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    target = tmp_path / "copy"
    (target / "old").mkdir(parents=True)
    copy_recorded(make_checkpoint("t0", 1), target)
    assert not (target / "old").exists()
    assert (target / "model.safetensors").read_bytes() == b"weights"
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []


def test_a_copy_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "copy"
    target.mkdir()
    (target / "old").touch()

    def fill(scratch: Path) -> Path:
        (scratch / "half").touch()
        raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match="cannot write .*copy: No space left on device"):
        place_folder(fill, target)
    assert [entry.name for entry in tmp_path.iterdir()] == ["copy"]
    assert (target / "old").exists()


def test_a_target_under_a_file_is_refused(make_checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"cannot write .*: (Not a directory|File exists)"):
        copy_recorded(make_checkpoint("t0", 1), tmp_path / "file" / "copy")
