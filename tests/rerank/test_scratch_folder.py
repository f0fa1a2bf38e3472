"""Scratch folders go with their process, also with one that was killed."""

import subprocess
import sys

import pytest

from vgsearch.errors import StorageError
from vgsearch.rerank.scratch_folder import scratch_folder

HOLD = """
import sys
from pathlib import Path
from vgsearch.rerank.scratch_folder import scratch_folder
with scratch_folder(Path(sys.argv[1])) as scratch:
    (scratch / "features.bin").write_text("1")
    print(scratch, flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_process_left_goes_and_a_live_one_s_stays(tmp_path):
    home = tmp_path / "runs"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        held = home / process.stdout.readline().strip().rpartition("/")[2]
        with scratch_folder(home) as scratch:
            assert {path for path in home.glob(".rerank-*")} == {held, scratch}
            assert (held / "features.bin").exists()
        assert list(home.glob(".rerank-*")) == [held]
        process.kill()
    assert held.exists()
    (home / ".rerank-made-but-not-locked").mkdir()
    with scratch_folder(home) as scratch:
        assert list(home.glob(".rerank-*")) == [scratch]


def test_it_goes_after_an_error(tmp_path):
    with pytest.raises(KeyboardInterrupt), scratch_folder(tmp_path):
        raise KeyboardInterrupt
    assert not list(tmp_path.glob(".rerank-*"))


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"), scratch_folder(tmp_path / "file"):
        pass
