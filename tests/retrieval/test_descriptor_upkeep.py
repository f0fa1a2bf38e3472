from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vgsearch.retrieval.descriptor_entry import RECORD_FILE, write_entry
from vgsearch.retrieval.descriptor_key import DescriptorKey
from vgsearch.retrieval.descriptor_store import entry_lock
from vgsearch.retrieval.descriptor_upkeep import (
    find_leftovers,
    leftover_bytes,
    list_entries,
    remove_entry,
    remove_leftovers,
)

ROWS = np.ones((5, 4), np.float32)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "descriptors"


def add(root: Path, weights: str) -> str:
    key = DescriptorKey(weights, "toy", "images", "{}", "fp32 on cpu")
    write_entry(root / key.name, key, ROWS, model=f"model {weights}", images="/photos")
    return key.name


def test_nothing_there(root: Path) -> None:
    assert list_entries(root) == []
    assert leftover_bytes(root) == 0
    assert remove_leftovers(root) == 0
    assert not root.exists()


def test_what_is_listed(root: Path) -> None:
    names = {add(root, weights): weights for weights in "abc"}
    (root / "a folder of the user's").mkdir()
    (root / "note.txt").write_text("")
    entries = list_entries(root)
    assert {entry.name for entry in entries} == set(names)
    for entry in entries:
        files = (root / entry.name).iterdir()
        assert entry.size_bytes == sum(file.stat().st_size for file in files)
        assert entry.record is not None
        assert entry.record.model == f"model {names[entry.name]}"
        assert entry.record.key["weights_sha256"] == names[entry.name]
        assert (entry.record.num_images, entry.record.dim) == ROWS.shape
    (root / entries[2].name / RECORD_FILE).write_text("{")
    damaged = list_entries(root)[0]
    assert (damaged.name, damaged.record) == (entries[2].name, None)


def test_removing_one(root: Path) -> None:
    first, second = add(root, "a"), add(root, "b")
    assert remove_entry(root, first)
    assert [entry.name for entry in list_entries(root)] == [second]
    assert remove_entry(root, first)  # gone already: as good as deleted
    assert find_leftovers(root) == []


def test_removing_without_the_folder_of_locks(root: Path) -> None:
    """A store that was copied from elsewhere, entries only."""
    name = add(root, "a")
    assert not (root / "locks").exists()
    assert remove_entry(root, name)
    assert list_entries(root) == []


def test_an_entry_that_is_being_made_stays(root: Path) -> None:
    name = add(root, "a")
    leftover = root / f".{name}.0a1b2c3d.tmp"
    leftover.mkdir()
    (leftover / "descriptors.npy").write_bytes(b"x" * 1000)
    with entry_lock(root, name):
        assert not remove_entry(root, name)
        assert remove_leftovers(root) == 0
        assert leftover_bytes(root) == 1000
    assert len(list_entries(root)) == 1
    assert remove_leftovers(root) == 1000
    assert not leftover.exists()
