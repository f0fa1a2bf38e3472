"""A folder that appears whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vgsearch.errors import StorageError


@contextmanager
def atomic_folder(final: Path) -> Iterator[Path]:
    """Write a folder under a temporary name and rename it when all of it is on disk.

    The body fills the yielded folder. Then its files and itself are flushed to disk, and it takes its final
    name; a folder that had that name goes. If anything fails, the temporary folder goes and what was
    under the final name stays. Temporary siblings that a killed process left for the same name are
    removed first, so one process at a time may write a given folder.

    Args:
        final: The folder's final path; parents are made.

    Yields:
        The temporary folder, a hidden sibling of `final`.

    Raises:
        StorageError: The disk is full or the place cannot be written.
    """
    temporary = sibling(final)
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        for stale in final.parent.glob(f".{final.name}.*.tmp"):
            shutil.rmtree(stale, ignore_errors=True)
        temporary.mkdir()
        yield temporary
        for path in temporary.iterdir():
            if not path.is_symlink():  # what it points to is somebody else's, perhaps on a read-only disk
                _flush(path)
        _flush(temporary)
        _move_into_place(temporary, final)
        _flush(final.parent)
    except OSError as error:
        raise storage_error(final, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sibling(final: Path) -> Path:
    """A fresh hidden name beside `final`."""
    return final.with_name(f".{final.name}.{secrets.token_hex(4)}.tmp")


def storage_error(path: Path, error: Exception) -> StorageError:
    """One line on why `path` cannot be written and what to do."""
    reason = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
    culprit = getattr(error, "filename", None)
    where = f": {culprit}" if culprit and Path(culprit) in path.parents else ""
    return StorageError(
        f"{path}: cannot be written ({reason.splitlines()[0]}{where}); free some space, mend the permissions "
        "or choose another folder"
    )


def _move_into_place(temporary: Path, final: Path) -> None:
    if not final.exists():
        temporary.rename(final)
        return
    replaced = sibling(final)
    final.rename(replaced)
    try:
        temporary.rename(final)
    except OSError:
        replaced.rename(final)
        raise
    shutil.rmtree(replaced, ignore_errors=True)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
