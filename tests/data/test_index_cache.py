from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vgsearch.data.index_cache import default_cache_dir, load_table, save_table, table_path

TABLE = np.arange(12.0).reshape(3, 4)


def test_a_table_comes_back(tmp_path: Path) -> None:
    save_table(tmp_path / "cache", tmp_path, "key", TABLE)
    loaded = load_table(tmp_path / "cache", tmp_path, "key", 4)
    assert loaded is not None
    assert loaded.tolist() == TABLE.tolist()
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [table_path(tmp_path, tmp_path).name]


def test_other_files_or_no_file_give_none(tmp_path: Path) -> None:
    assert load_table(tmp_path / "cache", tmp_path, "key", 4) is None
    save_table(tmp_path / "cache", tmp_path, "key", TABLE)
    assert load_table(tmp_path / "cache", tmp_path, "other", 4) is None
    assert load_table(tmp_path / "cache", tmp_path, "key", 5) is None


def test_a_damaged_file_gives_none(tmp_path: Path) -> None:
    path = table_path(tmp_path, tmp_path)
    save_table(tmp_path, tmp_path, "key", TABLE)
    whole = path.read_bytes()
    at_data = whole.index(TABLE.tobytes())
    flipped = bytearray(whole)
    flipped[at_data + 20] ^= 1
    for damaged in (b"", b"PK\x03\x04", b"text", whole[:-30], whole[: at_data + 5], bytes(flipped)):
        path.write_bytes(damaged)
        assert load_table(tmp_path, tmp_path, "key", 4) is None


def test_no_pickle_is_ever_loaded(tmp_path: Path) -> None:
    path = table_path(tmp_path, tmp_path)
    np.savez(path, key=np.array("1-key"), table=np.array([[{}] * 4] * 3, dtype=object))
    assert load_table(tmp_path, tmp_path, "key", 4) is None


def test_folders_of_one_base_name_have_tables_of_their_own(tmp_path: Path) -> None:
    paths = {table_path(tmp_path, tmp_path / split / "database") for split in ("val", "test")}
    assert len(paths) == 2


def test_a_folder_reached_by_a_link_shares_its_table(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert table_path(tmp_path, tmp_path / "link") == table_path(tmp_path, tmp_path / "real")


def test_a_cache_that_cannot_be_written_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    save_table(tmp_path / "file" / "cache", tmp_path, "key", TABLE)
    assert load_table(tmp_path / "file" / "cache", tmp_path, "key", 4) is None


def test_a_write_that_breaks_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    save_table(tmp_path, tmp_path, "key", TABLE)
    assert list(tmp_path.iterdir()) == []


def test_the_default_is_the_platforms_cache_folder() -> None:
    assert default_cache_dir().parts[-2:] == ("vgsearch", "indexes")
