"""Slots on disk: what comes back, what does not fit, and what is left behind."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time

import pytest
import torch

from vgsearch.ensembling.pixel_file import PixelFile
from vgsearch.errors import StorageError


def pixels(slot, size):
    return torch.randint(0, 256, (size,), dtype=torch.uint8, generator=torch.Generator().manual_seed(slot))


def test_slots_come_back_as_they_were(tmp_path):
    sizes = [1, 4096, 5000, 12345, 7]
    with PixelFile(tmp_path, sizes, max_bytes=10**6) as file:
        assert file.num_slots == 5
        for slot, size in enumerate(sizes):
            assert file.put(slot, pixels(slot, size))
        for slot, size in reversed(list(enumerate(sizes))):
            room = torch.zeros(size, dtype=torch.uint8)
            file.get(slot, room)
            assert torch.equal(room, pixels(slot, size))


def test_only_leading_slots_are_kept_within_the_limit_and_that_is_said(tmp_path):
    lines = []
    with PixelFile(tmp_path, [5000] * 4, max_bytes=20_000, say=lines.append) as file:
        assert file.num_slots == 2  # each takes two pages of 4096
        assert [file.put(slot, pixels(slot, 5000)) for slot in range(4)] == [True, True, False, False]
        with pytest.raises(ValueError, match="slot 2"):
            file.get(2, torch.zeros(5000, dtype=torch.uint8))
        with pytest.raises(ValueError, match="5000 bytes"):
            file.get(1, torch.zeros(4, dtype=torch.uint8))
    (line,) = lines
    assert "2 of 4 batches" in line
    with PixelFile(tmp_path, [10], max_bytes=0) as file:
        assert not file.put(0, pixels(0, 10))


def test_a_disk_without_room_is_no_error(tmp_path, monkeypatch):
    """The free space is asked for real; only the reserve is set beyond any disk."""
    monkeypatch.setattr("vgsearch.ensembling.pixel_file.RESERVE_BYTES", 2**70)
    lines = []
    with PixelFile(tmp_path, [100], max_bytes=10**9, say=lines.append) as file:
        assert file.num_slots == 0
    assert "the free space" in lines[0]


def test_a_write_that_fails_ends_the_growth_and_keeps_what_is_there(tmp_path):
    """A limit on file sizes makes the system refuse a write, as a full disk or a quota does."""
    lines = []
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with PixelFile(tmp_path, [4096] * 4, max_bytes=10**6, say=lines.append) as file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 * 4096, hard))
        try:
            kept = [file.put(slot, pixels(slot, 4096)) for slot in range(4)]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert kept == [True, True, False, False]
        room = torch.zeros(4096, dtype=torch.uint8)
        file.get(1, room)
        assert torch.equal(room, pixels(1, 4096))
    (line,) = lines
    assert "no longer kept" in line


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StorageError, match="cannot write"):
        PixelFile(tmp_path / "file" / "below", [1], max_bytes=10)


KILLED = """
import sys, time, torch
from pathlib import Path
from vgsearch.ensembling.pixel_file import PixelFile
file = PixelFile(Path(sys.argv[1]), [2**20] * 8, max_bytes=2**30)
for slot in range(8):
    file.put(slot, torch.ones(2**20, dtype=torch.uint8))
print("written", flush=True)
time.sleep(60)
"""


def test_nothing_is_left_after_a_kill(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "written\n"
    assert os.listdir(tmp_path) == []  # it has no name even while it is used
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(0.05)
    assert os.listdir(tmp_path) == []
