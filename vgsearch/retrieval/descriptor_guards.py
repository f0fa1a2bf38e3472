"""What must hold while images are described for the store: they stay as they are, and the disk has room."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from vgsearch.data.index import ImageIndex
from vgsearch.errors import DataError, StorageError

_STEP = 4096


def image_states(index: ImageIndex, threads: int) -> NDArray[np.int64]:
    """Size in bytes and time of change in ns of every image, int64 (n, 2); -1 and 0 for one that is gone."""
    states = np.empty((len(index), 2), dtype=np.int64)

    def look(start: int) -> None:
        for i in range(start, min(start + _STEP, len(index))):
            try:
                status = os.stat(os.path.join(index.root, index.paths[i]))
                states[i] = status.st_size, status.st_mtime_ns
            except OSError:  # reading it will say more
                states[i] = -1, 0

    with ThreadPoolExecutor(threads, thread_name_prefix="vgsearch-stat") as pool:
        list(pool.map(look, range(0, len(index), _STEP)))
    return states


def require_unchanged(index: ImageIndex, before: NDArray[np.int64], after: NDArray[np.int64]) -> None:
    """Refuse descriptors of images that changed since they were listed or while they were read.

    They would be kept under a fingerprint that they do not belong to.

    Raises:
        DataError: names the first such image.
    """
    changed = (before != after).any(axis=1)
    if index.size_bytes is not None:
        changed |= before[:, 0] != index.size_bytes
    if changed.any():
        first = index.absolute(int(np.argmax(changed)))
        raise DataError(
            f"{first} changed while the images of {index.root} were being described "
            f"({int(changed.sum())} of {len(index)} did); nothing was stored, run again"
        )


@contextmanager
def reserving_room(network: nn.Module, root: Path, num_rows: int) -> Iterator[None]:
    """End with the first batch, and not after hours, where the disk has no room for the result.

    How long a descriptor is shows when the network gives the first one.

    Raises:
        StorageError: from the network's first call: says what is needed and what is free.
    """

    def check(module: nn.Module, inputs: Any, output: Tensor) -> None:
        handle.remove()
        needed_bytes = 4 * num_rows * output.shape[1]
        free_bytes = shutil.disk_usage(root).free
        if needed_bytes > free_bytes:
            raise StorageError(
                f"{root}: {num_rows} descriptors take {needed_bytes / 1e9:.3g} GB, but "
                f"{free_bytes / 1e9:.3g} GB are free; free some space (vgsearch descriptors rm) or choose "
                "another home"
            )

    handle = network.register_forward_hook(check)
    try:
        yield
    finally:
        handle.remove()
