"""The parsed table of a folder, kept in a cache folder between runs: never beside the user's images."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import platformdirs
from numpy.typing import NDArray

_VERSION = "1"  # of the parsing rules: another one makes every table anew


def default_cache_dir() -> Path:
    """The platform's cache folder for indexes, such as `~/.cache/vgsearch/indexes`."""
    return platformdirs.user_cache_path("vgsearch") / "indexes"


def table_path(cache_dir: Path, folder: Path) -> Path:
    """Where the table of `folder` lies: named by the whole resolved path, never by the base name alone."""
    key = hashlib.blake2b(os.fsencode(folder.resolve()), digest_size=16).hexdigest()
    return cache_dir / f"{key}.npz"


def load_table(
    cache_dir: Path, folder: Path, fingerprint: str, num_images: int
) -> NDArray[np.float64] | None:
    """The table saved for these very files, or None if it is missing, damaged or of other files.

    Returns:
        float64 (3, num_images): east, north, heading.
    """
    try:
        with np.load(table_path(cache_dir, folder), allow_pickle=False) as archive:
            if str(archive["key"]) != _key(fingerprint):
                return None
            table = archive["table"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError):
        return None
    return table if table.shape == (3, num_images) and table.dtype == np.float64 else None


def save_table(cache_dir: Path, folder: Path, fingerprint: str, table: NDArray[np.float64]) -> None:
    """Write the table in one step. A cache that cannot be written costs time, not the run: it is left out."""
    target = table_path(cache_dir, folder)
    with contextlib.suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{target.stem}-", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, key=np.array(_key(fingerprint)), table=table)
            os.replace(temporary, target)
        except BaseException:
            os.unlink(temporary)
            raise


def _key(fingerprint: str) -> str:
    return f"{_VERSION}-{fingerprint}"
