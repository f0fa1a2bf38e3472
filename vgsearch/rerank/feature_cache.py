"""Local features of many photos, in memory or in a file that is mapped into it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vgsearch.config.geowarp import GRID
from vgsearch.errors import StorageError

IN_MEMORY_BYTES = 512 * 2**20
_BLOCK_BYTES = 8 * 2**20


class FeatureCache:
    """The features of n photos, (n, c, 15, 15); from `IN_MEMORY_BYTES` on they lie in a file."""

    def __init__(self, num_photos: int, channels: int, dtype: torch.dtype, scratch: Path) -> None:
        """Make room.

        Args:
            num_photos: n.
            channels: c.
            dtype: float32, or float16 where the encoder computes no better.
            scratch: Folder for the file; whoever made it deletes it.

        Raises:
            StorageError: The disk has no room for it.
        """
        shape = (num_photos, channels, GRID, GRID)
        size = num_photos * channels * GRID * GRID
        if size * dtype.itemsize <= IN_MEMORY_BYTES:
            self._features = torch.empty(shape, dtype=dtype)
            return
        path = scratch / f"features-{id(self):x}.bin"
        try:
            with path.open("wb") as file:
                _reserve(file.fileno(), size * dtype.itemsize)
            mapped = torch.from_file(str(path), shared=True, size=size, dtype=dtype)
        except (OSError, RuntimeError) as error:
            raise StorageError(
                f"{scratch}: has no room for {size * dtype.itemsize / 2**30:.1f} GiB of local features; free "
                "some space or choose another folder (--home)"
            ) from error
        self._features = mapped.reshape(shape)

    def put(self, rows: NDArray[np.int64], features: Tensor) -> None:
        """Keep features, float32 (m, c, 15, 15) on any device, of photos `rows`, int64 (m,)."""
        self._features[torch.from_numpy(rows)] = features.to(device="cpu", dtype=self._features.dtype)

    def get(self, rows: NDArray[np.int64], device: torch.device) -> Tensor:
        """Features of photos `rows`, float32 (m, c, 15, 15) on `device`."""
        chosen = self._features[torch.from_numpy(rows)]
        if device.type == "cuda":
            chosen = chosen.pin_memory()
        return chosen.to(device, non_blocking=True).float()


def _reserve(descriptor: int, num_bytes: int) -> None:
    """Give a new file all its blocks; in a file with holes a full disk would kill whoever writes to the map.

    Raises:
        OSError: There is no room.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, num_bytes)
        return
    zeros = bytes(_BLOCK_BYTES)  # macOS has no such call
    while num_bytes > 0:
        num_bytes -= os.write(descriptor, zeros[:num_bytes])
