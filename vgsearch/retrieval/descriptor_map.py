"""Mapping stored rows into memory, for hundreds of matrices at once."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np

_FILES_WANTED = 65536


def map_rows(
    path: Path, *, num_images: int, dim: int, header_bytes: int
) -> np.memmap[Any, np.dtype[np.float32]]:
    """Map float32 rows that begin `header_bytes` into a file, (num_images, dim), read-only, unread so far.

    The file may be deleted or replaced while it is mapped: the map keeps what it shows. A map holds one open
    file as long as it lives; where the process may not open more, its soft limit is raised to the hard one.

    Raises:
        OSError: there is no such file, or the hard limit is reached.
        ValueError: the file is shorter.
    """

    def mapped() -> np.memmap[Any, np.dtype[np.float32]]:
        return np.memmap(path, np.dtype("<f4"), mode="r", offset=header_bytes, shape=(num_images, dim))

    try:
        return mapped()
    except OSError as error:
        if error.errno != errno.EMFILE or not _allow_more_files():
            raise
        return mapped()


def _allow_more_files() -> bool:
    """Raise the soft limit of open files; whether it could be."""
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return False
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES_WANTED if hard == resource.RLIM_INFINITY else min(hard, _FILES_WANTED)
    if soft == resource.RLIM_INFINITY or wanted <= soft:
        return False
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return True
