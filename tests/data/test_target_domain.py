from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from tests.data import layouts
from vgsearch.data.content import content_key, shared_images
from vgsearch.data.index import ImageIndex, index_folder
from vgsearch.data.target_domain import RECORD_NAME, gather, leak, read_target_record, refuse
from vgsearch.errors import DataError


def index(folder: Path) -> ImageIndex:
    return index_folder(folder, cache_dir=folder.parents[-2] / "cache")


@pytest.fixture
def photos(tmp_path: Path) -> ImageIndex:
    layouts.write(tmp_path / "night", [f"IMG_{i}.JPG" for i in range(8)])
    return index(tmp_path / "night")


@pytest.fixture
def queries(tmp_path: Path) -> ImageIndex:
    layouts.write(
        tmp_path / "test" / "queries", [layouts.place_name(35.6, 139.7, pano=f"q{i}") for i in range(4)]
    )
    return index(tmp_path / "test" / "queries")


def keys(folder: Path) -> set[bytes]:
    return {content_key(path) for path in folder.glob("*.jpg")}


def test_shared_images_are_found_by_bytes_as_a_plain_loop_finds_them(tmp_path: Path) -> None:
    for folder, contents in (("one", b"abcad"), ("other", b"xdab")):
        (tmp_path / folder).mkdir()
        for i, content in enumerate(contents):
            (tmp_path / folder / f"{i}.jpg").write_bytes(bytes([content]) * (2 if content == ord("c") else 3))
    one, other = index(tmp_path / "one"), index(tmp_path / "other")
    expected = {
        i: j
        for i in range(len(one))
        for j in range(len(other))
        if one.absolute(i).read_bytes() == other.absolute(j).read_bytes()
    }
    assert shared_images(one, other) == expected == {0: 2, 1: 3, 3: 2, 4: 1}


def test_each_photo_is_linked_once(tmp_path: Path, photos: ImageIndex) -> None:
    layouts.write(tmp_path / "more", ["IMG_0.jpg"])
    shutil.copy(tmp_path / "night" / "IMG_3.JPG", tmp_path / "more" / "again.jpeg")
    more = index(tmp_path / "more")
    record = gather([photos, more], tmp_path / "out", {})
    assert (record.images, record.repeated, record.transductive) == (9, 1, False)
    assert record.sources == {str(photos.root): 8, str(more.root): 1}
    found = index(tmp_path / "out")
    assert len(found) == 9
    assert all((tmp_path / "out" / path).is_symlink() for path in found.paths)
    wanted = {content_key(each.absolute(i)) for each in (photos, more) for i in range(len(each))}
    assert keys(tmp_path / "out") == wanted
    assert read_target_record(tmp_path / "out") == record


def test_a_limit_draws_by_its_seed(tmp_path: Path, photos: ImageIndex) -> None:
    drawn = [
        (gather([photos], tmp_path / f"out{n}", {}, limit=3, seed=seed), keys(tmp_path / f"out{n}"))
        for n, seed in enumerate((0, 0, 1, 2))
    ]
    assert all(record.images == len(found) == 3 for record, found in drawn)
    assert drawn[0][1] == drawn[1][1]
    assert len({frozenset(found) for _, found in drawn}) > 1
    assert gather([photos], tmp_path / "all", {}, limit=100).images == 8


def test_queries_of_a_test_are_refused_by_their_bytes(
    tmp_path: Path, photos: ImageIndex, queries: ImageIndex
) -> None:
    shutil.copy(queries.absolute(2), photos.root / "renamed.jpg")
    photos = index(photos.root)
    with pytest.raises(DataError) as caught:
        gather([photos], tmp_path / "out", {"tokyo": queries})
    start = "1 photos of the target domain are queries of the test tokyo, first "
    assert str(caught.value).startswith(f"{start}{photos.root}/renamed.jpg (there {queries.paths[2]})")
    assert "--transductive" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_queries_of_a_test_are_refused_by_a_name_that_holds_coordinates(
    tmp_path: Path, photos: ImageIndex, queries: ImageIndex
) -> None:
    layouts.write(photos.root, [queries.paths[0]])  # a resized copy, say
    assert len(leak([index(photos.root)], "tokyo", queries).queries) == 1
    for folder, name in (("plain", "IMG_1.JPG"), ("line", layouts.frame_name(1, "00002.4"))):
        layouts.write(tmp_path / folder / "queries", [name])
        layouts.write(photos.root, [name])
        assert not leak([index(photos.root)], folder, index(tmp_path / folder / "queries")).queries


def test_left_out_or_transductive(tmp_path: Path, photos: ImageIndex, queries: ImageIndex) -> None:
    tests = {"tokyo": queries}
    left = gather([photos, queries], tmp_path / "left", tests, leave_out=True)
    assert (left.images, left.left_out, left.test_queries) == (8, 4, {"tokyo": 0})
    assert not leak([index(tmp_path / "left")], "tokyo", queries).queries
    taken = gather([photos, queries], tmp_path / "taken", tests, transductive=True)
    assert (taken.images, taken.transductive, taken.test_queries) == (12, True, {"tokyo": 4})
    # Links by content: the folder itself gives the queries away.
    with pytest.raises(DataError, match="4 photos"):
        refuse([leak([index(tmp_path / "taken")], "tokyo", queries)])
    with pytest.raises(DataError, match="no photo is left"):
        gather([queries], tmp_path / "none", tests, leave_out=True)


def test_an_existing_folder_is_refused_first(tmp_path: Path, photos: ImageIndex) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError, match="out exists already"):
        gather([photos], tmp_path / "out", {})


def test_a_folder_without_record(tmp_path: Path) -> None:
    assert read_target_record(tmp_path) is None
    assert read_target_record(tmp_path / "nowhere") is None


@pytest.mark.parametrize("text", ["", "[1, 2]", "transductive: true", "a: [", "\x00"])
def test_a_damaged_record_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / RECORD_NAME).write_text(text)
    with pytest.raises(DataError, match=r"target_domain\.yaml is damaged: make the folder again"):
        read_target_record(tmp_path)


def test_a_record_that_evades_is_refused(tmp_path: Path, photos: ImageIndex) -> None:
    gather([photos], tmp_path / "out", {})
    record = yaml.safe_load((tmp_path / "out" / RECORD_NAME).read_text())
    (tmp_path / "out" / RECORD_NAME).write_text(yaml.safe_dump({**record, "transductive": "no"}))
    with pytest.raises(DataError, match="transductive must be true or false, got 'no'"):
        read_target_record(tmp_path / "out")
