from __future__ import annotations

from pathlib import Path

from vgsearch.data.check_files import duplicate_contents, duplicate_names, overlap
from vgsearch.data.index import ImageIndex, index_folder


def index(folder: Path, files: dict[str, bytes]) -> ImageIndex:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return index_folder(folder, cache_dir=folder.parent / "cache")


def test_names_in_several_folders(tmp_path: Path) -> None:
    found = duplicate_names(
        index(tmp_path / "i", {"a/x.jpg": b"1", "b/x.jpg": b"2", "b/y.jpg": b"3"}), "images"
    )
    assert [(problem.severity, problem.text) for problem in found] == [
        (
            "warning",
            "1 file names of images stand in several folders, first 'a/x.jpg' and 'b/x.jpg'",
        )
    ]
    assert duplicate_names(index(tmp_path / "j", {"a/x.jpg": b"1", "b/y.jpg": b"2"}), "images") == []


def test_contents_that_repeat(tmp_path: Path) -> None:
    files = {"a.jpg": b"11", "b.jpg": b"22", "c.jpg": b"11", "d.jpg": b"11", "e.jpg": b"", "f.jpg": b""}
    found = duplicate_contents(index(tmp_path / "i", files), "images")
    assert [problem.text for problem in found] == [
        "2 of 6 images repeat another's bytes, first 'c.jpg' those of 'a.jpg'"
    ]
    assert duplicate_contents(index(tmp_path / "j", {"a.jpg": b"11", "b.jpg": b"22"}), "images") == []


def test_overlap_by_bytes_and_by_name(tmp_path: Path) -> None:
    database = index(tmp_path / "d", {"a.jpg": b"11", "b.jpg": b"22", "c.jpg": b"333"})
    queries = index(tmp_path / "q", {"x.jpg": b"22", "c.jpg": b"999", "y.jpg": b"4444"})
    found = overlap(database, queries)
    assert [problem.severity for problem in found] == ["error", "warning"]
    assert found[0].text.startswith(
        "1 of 3 queries are in the database byte for byte, first 'x.jpg' as 'b.jpg'"
    )
    assert found[1].text.startswith("1 of 3 queries share a file name")
    assert overlap(database, index(tmp_path / "r", {"y.jpg": b"44"})) == []
