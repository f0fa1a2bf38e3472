from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from vgsearch.data.linked_folder import link, link_images, new_folder
from vgsearch.errors import DataError, StorageError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_appears_when_it_is_whole(tmp_path: Path) -> None:
    with new_folder(tmp_path / "deep" / "out") as work:
        (work / "a").write_text("x")
        assert not (tmp_path / "deep" / "out").exists()
    assert names(tmp_path / "deep") == ["out"]
    assert names(tmp_path / "deep" / "out") == ["a"]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with new_folder(tmp_path / "out") as work:
            (work / "a").write_text("x")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageError, match="out cannot be written: No space left on device; free some space"):
        fail()
    assert names(tmp_path) == []


def test_what_a_killed_run_left_goes(tmp_path: Path) -> None:
    (tmp_path / ".out.0123.partial").mkdir()
    with new_folder(tmp_path / "out"):
        pass
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("kind", ["folder", "file", "dead link"])
def test_an_existing_folder_is_refused(tmp_path: Path, kind: str) -> None:
    out = tmp_path / "out"
    if kind == "folder":
        out.mkdir()
    elif kind == "file":
        out.write_text("mine")
    else:
        out.symlink_to(tmp_path / "nowhere")
    with (
        pytest.raises(DataError, match="out exists already: remove it, or name another folder"),
        new_folder(out),
    ):
        pass
    assert os.path.lexists(out)


def test_links_are_relative_and_move_along(tmp_path: Path) -> None:
    (tmp_path / "data" / "xs").mkdir(parents=True)
    (tmp_path / "data" / "xs" / "a.jpg").write_bytes(b"picture")
    with new_folder(tmp_path / "data" / "night" / "test") as work:
        link_images([tmp_path / "data" / "xs" / "a.jpg"], work, ["sub/a.jpg"], copy=False)
        link(tmp_path / "data" / "xs", work / "database", copy=False)
    (tmp_path / "data").rename(tmp_path / "moved")
    out = tmp_path / "moved" / "night" / "test"
    assert not os.path.isabs(os.readlink(out / "sub" / "a.jpg"))
    assert (out / "sub" / "a.jpg").read_bytes() == b"picture"
    assert names(out / "database") == ["a.jpg"]


def test_links_hold_where_the_new_folder_is_reached_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "near").symlink_to(tmp_path / "far" / "away")
    (tmp_path / "a.jpg").write_bytes(b"picture")
    with new_folder(tmp_path / "near" / "out") as work:
        link(tmp_path / "a.jpg", work / "a.jpg", copy=False)
    assert (tmp_path / "near" / "out" / "a.jpg").read_bytes() == b"picture"


def test_copies_where_they_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "xs").mkdir()
    (tmp_path / "xs" / "a.jpg").write_bytes(b"picture")
    with new_folder(tmp_path / "out") as work:
        link(tmp_path / "xs", work / "database", copy=True)
        link(tmp_path / "xs" / "a.jpg", work / "b.jpg", copy=True)
    assert not any(path.is_symlink() for path in (tmp_path / "out").rglob("*"))
    assert (tmp_path / "out" / "database" / "a.jpg").read_bytes() == b"picture"
    assert (tmp_path / "out" / "b.jpg").read_bytes() == b"picture"


def test_a_file_system_without_links_is_told_of_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", refuse)

    def build() -> None:
        with new_folder(tmp_path / "out") as work:
            link(tmp_path, work / "database", copy=False)

    with pytest.raises(StorageError, match="no symbolic links can be made here .*--copy copies the images"):
        build()
    assert names(tmp_path) == []
