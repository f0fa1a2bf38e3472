from __future__ import annotations

import struct
from pathlib import Path

import pytest
import safetensors.torch
import torch

from vgsearch.errors import CheckpointError
from vgsearch.models.stored_tensors import (
    name_some,
    read_metadata,
    read_tensors,
    require_same_tensors,
    write_tensors,
)


def test_reads_back(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(2, 3), "b": torch.tensor(4)}
    safetensors.torch.save_file(tensors, tmp_path / "t", metadata={"architecture": "x"})
    found, metadata = read_tensors(tmp_path / "t")
    assert metadata == {"architecture": "x"}
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short",
        struct.pack("<Q", 2**40) + b"{}",
        struct.pack("<Q", 9 * 2**20) + b" " * 16,
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 200) + b"{}",
        struct.pack("<Q", 64) + b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}'.ljust(64),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"^\S+/t: is (no safetensors file|damaged)[^\n]*$"):
        read_tensors(tmp_path / "t")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"t: cannot be read \(No such file or directory\)"):
        read_tensors(tmp_path / "t")


def test_all_faults_in_one_line() -> None:
    expected = {name: torch.zeros(2) for name in "abcdefgh"}
    given = {
        "a": torch.zeros(3),
        "b": torch.zeros(2, dtype=torch.float16),
        "c": torch.tensor([0.0, torch.inf]),
        "d": torch.zeros(2),
        "z": torch.zeros(2),
    }
    with pytest.raises(CheckpointError) as caught:
        require_same_tensors(expected, given, "here")
    assert str(caught.value) == (
        "here: tensors 4 missing (e, f, g, ...), 1 unexpected (z), "
        "1 of another shape (a: (3,) instead of (2,)), "
        "1 of another dtype (b: torch.float16 instead of torch.float32), 1 with NaN or infinity (c); "
        "use another checkpoint"
    )
    require_same_tensors(expected, expected, "here")


def test_some_names() -> None:
    assert name_some(["a", "b"]) == "a, b"
    assert name_some(["a", "b", "c", "d"]) == "a, b, c, ..."


def test_equal_tensors_and_metadata_are_equal_bytes(tmp_path: Path) -> None:
    tensors = {name: torch.arange(6.0).reshape(2, 3) + i for i, name in enumerate("ab")}
    metadata = {"format": "pt", "architecture": "x", "architecture_in_words": "höhe"}
    written = set()
    for _ in range(20):  # the library alone gave several files
        write_tensors(tmp_path / "t", tensors, metadata)
        written.add((tmp_path / "t").read_bytes())
    assert len(written) == 1
    found, about = read_tensors(tmp_path / "t")
    assert about == metadata == read_metadata(tmp_path / "t")
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
