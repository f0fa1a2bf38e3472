from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from vgsearch.data import index as index_module
from vgsearch.data.index import ImageIndex, index_folder, join_indexes, require_coordinates
from vgsearch.data.index_cache import table_path
from vgsearch.errors import DataError


def sf_xs_name(east: float, north: float, heading: str = "090") -> str:
    return f"@{east:010.2f}@{north:010.2f}@30@T@@@p@@{heading}@@@@2026@@.jpg"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    (root / "sub@1@2").mkdir(parents=True)
    (root / sf_xs_name(20, 5)).write_bytes(b"22")
    (root / sf_xs_name(10, 5)).write_bytes(b"1")
    (root / "sub@1@2" / sf_xs_name(30, 5, "")).write_bytes(b"333")
    return root


def index(folder: Path) -> ImageIndex:
    return index_folder(folder, cache_dir=folder.parent / "cache")


def test_paths_and_numbers(folder: Path) -> None:
    found = index(folder)
    assert len(found) == 3
    assert found.paths == (sf_xs_name(10, 5), sf_xs_name(20, 5), f"sub@1@2/{sf_xs_name(30, 5, '')}")
    assert found.utm_east.tolist() == [10, 20, 30]
    assert found.utm_north.tolist() == [5, 5, 5]
    assert found.heading_deg[:2].tolist() == [90, 90]
    assert np.isnan(found.heading_deg[2])
    assert found.absolute(2).read_bytes() == b"333"


def test_a_second_call_reads_the_cache_and_agrees(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = index(folder)
    monkeypatch.setattr(index_module, "parse_names", lambda _: pytest.fail("parsed again"))
    second = index(folder)
    assert second.fingerprint == first.fingerprint
    assert second.utm_east.tolist() == first.utm_east.tolist()


def test_a_change_or_a_damaged_cache_is_parsed_anew(folder: Path) -> None:
    first = index(folder)
    table_path(folder.parent / "cache", folder).write_bytes(b"damaged")
    assert index(folder).utm_east.tolist() == [10, 20, 30]
    (folder / sf_xs_name(20, 5)).rename(folder / sf_xs_name(25, 5))
    changed = index(folder)
    assert changed.utm_east.tolist() == [10, 25, 30]
    assert changed.fingerprint != first.fingerprint


def test_two_folders_of_one_base_name_do_not_share_a_table(tmp_path: Path) -> None:
    for split, east in (("val", 1.0), ("test", 2.0)):
        (tmp_path / split / "database").mkdir(parents=True)
        (tmp_path / split / "database" / sf_xs_name(east, 0)).touch()
    easts = [
        index_folder(tmp_path / split / "database", cache_dir=tmp_path / "cache").utm_east.tolist()
        for split in ("val", "test", "val")
    ]
    assert easts == [[1], [2], [1]]


def test_the_content_hash_outlives_a_copy_but_no_other_size(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy" / sf_xs_name(10, 5)).touch()
    original, copy = index(folder), index(tmp_path / "copy")
    assert copy.content_hash == original.content_hash
    assert copy.fingerprint != original.fingerprint
    (folder / sf_xs_name(10, 5)).write_bytes(b"longer")
    assert index(folder).content_hash != original.content_hash


def test_a_subset_keeps_order_and_has_its_own_fingerprint(folder: Path) -> None:
    whole = index(folder)
    part = whole.subset([2, 0])
    assert part.paths == (whole.paths[2], whole.paths[0])
    assert part.utm_east.tolist() == [30, 10]
    assert part.size_bytes is not None
    assert part.size_bytes.tolist() == [3, 1]
    keys = {whole.fingerprint, part.fingerprint, whole.subset([0, 2]).fingerprint}
    assert len(keys) == 3
    assert whole.subset(np.array([2, 0])).fingerprint == part.fingerprint


def test_a_missing_heading_is_refused_only_where_it_is_needed(folder: Path) -> None:
    found = index(folder)
    require_coordinates(found, heading=False)
    with pytest.raises(DataError) as caught:
        require_coordinates(found, heading=True)
    assert str(caught.value).startswith(f"1 of 3 images in {folder} have no heading, first 'sub@1@2/")


def test_names_without_coordinates_are_indexed_and_refused_where_needed(tmp_path: Path) -> None:
    for name in ("night_1.jpg", "@x@y@.jpg"):
        (tmp_path / name).touch()
    found = index_folder(tmp_path, cache_dir=tmp_path / "cache")
    with pytest.raises(DataError, match="2 of 2 images in .* have no UTM coordinates, first '@x@y@.jpg'"):
        require_coordinates(found, heading=False)


def test_a_relative_folder_gives_an_absolute_root(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert index_folder(Path("photos"), cache_dir=Path("cache")).root == folder


def test_joined_folders(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "night"
    other.mkdir(parents=True)
    (other / "plain.jpg").write_bytes(b"1")
    first, second = index(folder), index_folder(other, cache_dir=tmp_path / "cache")
    joined = join_indexes([first, second])
    paths = [each.absolute(i) for each in (first, second) for i in range(len(each))]
    assert [joined.absolute(i) for i in range(len(joined))] == paths
    assert joined.utm_east[:3].tolist() == first.utm_east.tolist()
    assert np.isnan(joined.utm_east[3])
    assert joined.fingerprint not in (first.fingerprint, second.fingerprint)
    assert join_indexes([first]) is first
