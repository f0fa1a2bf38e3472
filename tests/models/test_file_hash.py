from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from vgsearch.errors import CheckpointError
from vgsearch.models.file_hash import file_sha256


def test_a_hash_is_that_of_the_bytes(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(content)
    assert file_sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()
    with pytest.raises(CheckpointError, match="cannot read .*gone: No such file"):
        file_sha256(tmp_path / "gone")
