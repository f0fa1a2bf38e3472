"""A folder for scratch files that goes with its process, at the latest when the next one starts."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from vgsearch.models.atomic_folder import storage_error

_PREFIX = ".rerank-"
_LOCK_FILE = "lock"
# Held while folders are made and swept, so that nobody sweeps one that is made but not locked yet.
_MAKING_LOCK = ".rerank.lock"


@contextmanager
def scratch_folder(home: Path) -> Iterator[Path]:
    """Make a scratch folder below `home`, after the folders of processes that were killed are removed.

    A process holds a lock in its folder for as long as it lives, however it ends, so a folder without a held
    lock is nobody's.

    Args:
        home: Made where it is missing.

    Yields:
        The folder; it goes with all it holds.

    Raises:
        StorageError: The disk is full or the place cannot be written.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(home / _MAKING_LOCK):
            for stale in home.glob(f"{_PREFIX}*"):
                _remove_if_unheld(stale)
            scratch = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=home))
            lock = FileLock(scratch / _LOCK_FILE)
            lock.acquire()
    except OSError as error:
        raise storage_error(home, error) from error
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        lock.release()


def _remove_if_unheld(folder: Path) -> None:
    # Neither what a living process holds nor what another user left keeps anyone from working.
    with suppress(Timeout, OSError), FileLock(folder / _LOCK_FILE, timeout=0):
        shutil.rmtree(folder, ignore_errors=True)
