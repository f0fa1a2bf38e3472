"""Writing a command's output files: whole, or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from vgsearch.errors import StorageError


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write each file under a temporary name, then rename it.

    Raises:
        StorageError: the folder cannot be written or its disk is full.
    """
    partial: Path | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            partial = folder / f".{name}.{os.getpid()}.partial"
            partial.write_bytes(content)
            partial.replace(folder / name)
            partial = None
    except OSError as error:
        if partial is not None:
            partial.unlink(missing_ok=True)
        raise StorageError(f"cannot write {folder}: {error.strerror}; choose another folder") from error
