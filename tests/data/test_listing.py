from __future__ import annotations

import os
from glob import glob
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vgsearch.data.listing import list_images
from vgsearch.errors import DataError


def touch(path: Path, content: bytes = b"") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


segment = st.text(st.sampled_from("ab.@-_ 09A é"), min_size=1, max_size=4).filter(lambda s: s.strip(". "))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.sets(st.lists(segment, min_size=1, max_size=3).map("/".join), min_size=1, max_size=12))
def test_the_order_is_that_of_sorted_glob(tmp_path_factory: pytest.TempPathFactory, stems: set[str]) -> None:
    root = tmp_path_factory.mktemp("images")
    for stem in stems:
        touch(root / f"{stem}.jpg")
    expected = [path[len(f"{root}/") :] for path in sorted(glob(f"{root}/**/*.jpg", recursive=True))]
    if expected:
        assert list(list_images(root).paths) == expected
    else:
        with pytest.raises(DataError, match="holds no"):
            list_images(root)


def test_suffixes_hidden_files_sizes_and_times(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.JPEG", "c.Png", "d.txt", "jpg", ".hidden.jpg", ".folder/e.jpg", "f.jpg.part"):
        touch(tmp_path / name, name.encode())
    listing = list_images(tmp_path)
    assert listing.paths == ("a.jpg", "b.JPEG", "c.Png")
    assert listing.size_bytes.tolist() == [5, 6, 5]
    assert listing.mtime_ns.tolist() == [(tmp_path / path).stat().st_mtime_ns for path in listing.paths]


def test_links_to_images_and_folders_are_followed_but_no_cycle(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere/x.jpg", b"12345")
    touch(tmp_path / "root/a/b.jpg")
    (tmp_path / "root/linked.jpg").symlink_to(tmp_path / "elsewhere/x.jpg")
    (tmp_path / "root/folder").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root/a/up").symlink_to(tmp_path / "root")
    (tmp_path / "root/self").symlink_to(tmp_path / "root")
    (tmp_path / "root/lost.jpg").symlink_to(tmp_path / "nowhere")
    listing = list_images(tmp_path / "root")
    assert listing.paths == ("a/b.jpg", "folder/x.jpg", "linked.jpg", "lost.jpg")
    assert listing.size_bytes.tolist() == [0, 5, 5, -1]


def test_the_fingerprint_follows_names_sizes_and_times(tmp_path: Path) -> None:
    touch(tmp_path / "a.jpg", b"1")
    touch(tmp_path / "b.jpg", b"2")
    seen = [list_images(tmp_path).fingerprint()]
    assert list_images(tmp_path).fingerprint() == seen[0]
    touch(tmp_path / "a.jpg", b"11")
    seen.append(list_images(tmp_path).fingerprint())
    (tmp_path / "b.jpg").rename(tmp_path / "c.jpg")
    seen.append(list_images(tmp_path).fingerprint())
    os.utime(tmp_path / "c.jpg", ns=(1, 1))
    seen.append(list_images(tmp_path).fingerprint())
    assert len(set(seen)) == 4
    assert np.unique([len(key) for key in seen]).tolist() == [32]


def test_missing_file_and_empty_folders_are_named(tmp_path: Path) -> None:
    touch(tmp_path / "a.jpg")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"nowhere does not exist"):
        list_images(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"a\.jpg is a file"):
        list_images(tmp_path / "a.jpg")
    with pytest.raises(DataError, match=r"empty holds no \.jpg"):
        list_images(tmp_path / "empty")
