"""The hash of a file's bytes, by which weights are told apart."""

from __future__ import annotations

import hashlib
from pathlib import Path

from vgsearch.errors import CheckpointError


def file_sha256(path: Path) -> str:
    """Hash the bytes of one file, as hex.

    Raises:
        CheckpointError: It cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
