from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from vgsearch.errors import StorageError
from vgsearch.models.atomic_folder import atomic_folder


def test_appears_whole_under_its_name(tmp_path: Path) -> None:
    final = tmp_path / "deep" / "epoch_0001"
    with atomic_folder(final) as temporary:
        (temporary / "a").write_text("1")
        assert not final.exists()
        assert temporary.parent == final.parent
    assert [p.name for p in final.parent.iterdir()] == ["epoch_0001"]
    assert (final / "a").read_text() == "1"


def test_replaces_what_was_there(tmp_path: Path) -> None:
    final = tmp_path / "epoch_0001"
    for name in ("old", "new"):
        with atomic_folder(final) as temporary:
            (temporary / name).write_text(name)
    assert [p.name for p in final.iterdir()] == ["new"]
    assert [p.name for p in tmp_path.iterdir()] == ["epoch_0001"]


@pytest.mark.parametrize("error", [ValueError("ours"), KeyboardInterrupt()])
def test_failure_leaves_what_was_there(tmp_path: Path, error: BaseException) -> None:
    final = tmp_path / "epoch_0001"
    with atomic_folder(final) as temporary:
        (temporary / "old").write_text("old")

    def fail() -> None:
        with atomic_folder(final) as temporary:
            (temporary / "new").write_text("new")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert [p.name for p in final.iterdir()] == ["old"]
    assert [p.name for p in tmp_path.iterdir()] == ["epoch_0001"]


@pytest.mark.parametrize("failing", ["fsync", "rename"])
def test_disk_that_fills_up_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(*((os, "fsync") if failing == "fsync" else (Path, "rename")), fail)
    with (
        pytest.raises(StorageError, match=r"epoch_0001: cannot be written \(No space left on device\); free"),
        atomic_folder(tmp_path / "epoch_0001") as temporary,
    ):
        (temporary / "a").write_text("1")
    assert list(tmp_path.iterdir()) == []


def test_what_links_point_to_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()

    def refuse_theirs(descriptor: int) -> None:
        if os.path.samestat(os.fstat(descriptor), theirs.stat()):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "fsync", refuse_theirs)
    with atomic_folder(tmp_path / "made") as temporary:
        (temporary / "link").symlink_to(theirs)
        (temporary / "gone").symlink_to(tmp_path / "nowhere")
    assert (tmp_path / "made" / "link").resolve() == theirs


def test_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StorageError, match=r"cannot be written \(File exists: \S+/file\)"),
        atomic_folder(tmp_path / "file" / "epoch_0001"),
    ):
        pass


def test_rubbish_of_a_killed_process_goes(tmp_path: Path) -> None:
    (tmp_path / ".epoch_0001.0badf00d.tmp").mkdir()
    (tmp_path / ".epoch_0002.0badf00d.tmp").mkdir()
    with atomic_folder(tmp_path / "epoch_0001"):
        pass
    assert sorted(p.name for p in tmp_path.iterdir()) == [".epoch_0002.0badf00d.tmp", "epoch_0001"]
