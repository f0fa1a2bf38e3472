"""Decoded pixels on disk, in a file without a name: whatever ends the process, the space is free again."""

from __future__ import annotations

import mmap
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import torch
from torch import Tensor

from vgsearch.errors import StorageError

# What a full cache leaves on the disk: other processes write there too.
RESERVE_BYTES = 2**30


class PixelFile:
    """Slots of uint8, filled in order, each read back through a memory map of its own.

    The file is unlinked while it is written, so even SIGKILL leaves nothing behind. A map lives only as long
    as one slot is copied, so that the process does not grow with the file; pages that the system has room for
    stay in its cache.
    """

    def __init__(
        self,
        folder: Path,
        slot_bytes: Sequence[int],
        *,
        max_bytes: int,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        """Make room for as many leading slots as fit.

        Args:
            folder: Where the file lies; made if it is missing.
            slot_bytes: Sizes of the slots.
            max_bytes: Most that the file may take; 0 keeps nothing.
            say: Told in one line when not all slots fit.

        Raises:
            StorageError: The folder cannot be written at all.
        """
        self._sizes = list(slot_bytes)
        self._say = say
        # Maps begin at multiples of a page.
        steps = [-(-size // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY for size in slot_bytes]
        ends = np.cumsum([0, *steps], dtype=np.int64)
        self._offsets = ends[:-1].tolist()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            free = max(0, shutil.disk_usage(folder).free - RESERVE_BYTES)
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by close()
        except OSError as error:
            raise StorageError(f"cannot write to {folder}: {error.strerror or error}") from error
        self.num_slots = int((ends[1:] <= min(max_bytes, free)).sum())
        if self.num_slots < len(steps):
            limit = "the limit" if max_bytes <= free else f"the free space of {folder}"
            self._say(
                f"decoded images would take {_gigabytes(ends[-1])}, {limit} is "
                f"{_gigabytes(min(max_bytes, free))}: {self.num_slots} of {len(steps)} batches are kept, the "
                "others are decoded every time"
            )

    def put(self, slot: int, pixels: Tensor) -> bool:
        """Fill a slot.

        Args:
            slot: Its number.
            pixels: uint8, contiguous, of the slot's size.

        Returns:
            Whether it is kept; a disk that turns out to be full is no error, but the end of the file's
            growth.
        """
        if slot >= self.num_slots:
            return False
        rest = pixels.numpy().reshape(-1).data
        offset = self._offsets[slot]
        try:
            while rest:
                written = os.pwrite(self._file.fileno(), rest, offset)
                rest, offset = rest[written:], offset + written
        except OSError as error:
            self.num_slots = slot
            self._say(
                f"decoded images are no longer kept ({error.strerror or error}): what came so far stays, the "
                "others are decoded every time"
            )
            return False
        return True

    def get(self, slot: int, into: Tensor) -> None:
        """Copy a filled slot into a contiguous uint8 tensor of its size.

        Raises:
            ValueError: The slot is not kept, or `into` has another size.
        """
        size = self._sizes[slot]
        if slot >= self.num_slots or into.numel() != size or into.dtype != torch.uint8:
            raise ValueError(f"slot {slot} of {self.num_slots} has {size} bytes, asked for {into.numel()}")
        with mmap.mmap(
            self._file.fileno(), size, access=mmap.ACCESS_READ, offset=self._offsets[slot]
        ) as mapped:
            view = np.frombuffer(mapped, np.uint8)
            np.copyto(into.view(-1).numpy(), view)
            del view  # a map cannot be closed while an array looks into it

    def close(self) -> None:
        """Give the space back."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _gigabytes(size_bytes: float) -> str:
    return f"{size_bytes / 1e9:.1f} GB"
