"""Descriptors kept on disk: what one network made of one list of images is extracted once.

Every entry is a folder `<root>/<name of its key>/`, written under a temporary name, flushed and renamed. Who
makes or deletes an entry holds its lock, `<root>/locks/<name>.lock`; the operating system lets go of it when
a process dies, so a killed writer blocks nobody. Readers need no lock: what they find damaged they judge once
more under the lock, and only then is it made anew.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import torch
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from torch import nn

from vgsearch.config.search import EvalConfig
from vgsearch.data.index import ImageIndex
from vgsearch.models.atomic_folder import storage_error
from vgsearch.models.precision import Precision
from vgsearch.retrieval.descriptor_entry import (
    DATA_FILE,
    DamagedEntryError,
    EntryRecord,
    check_entry,
    write_entry,
)
from vgsearch.retrieval.descriptor_guards import image_states, require_unchanged, reserving_room
from vgsearch.retrieval.descriptor_key import DescriptorKey, ModelIdentityLike, descriptor_key, images_key
from vgsearch.retrieval.descriptor_map import map_rows
from vgsearch.retrieval.extraction import extract_descriptors
from vgsearch.retrieval.query_methods import DescribedPart, rows_per_image

NetworkSource = nn.Module | Callable[[], nn.Module]

_Signature = tuple[int, int, int]


def say_on_stderr(line: str) -> None:
    """Print one line where no output is parsed."""
    print(line, file=sys.stderr)


class DescriptorStore:
    """Descriptors by (network, images, preprocessing, arithmetic); see `descriptor_key`.

    A store may be used by any number of processes and threads at once. The first time that an object of this
    class meets an entry it checks all of its bytes, at the speed of the disk; from then on an entry costs a
    look at the file's size and time. Maps in use are shared, so that hundreds of pairs may be asked for.
    """

    def __init__(self, root: Path, *, say: Callable[[str], None] = say_on_stderr) -> None:
        """Keep entries under `root`, which is made with the first of them.

        Args:
            root: `<home>/descriptors`.
            say: told in one line when a damaged entry is made anew, and when another process is waited for.
        """
        self.root = root
        self._say = say
        self._checked: dict[str, tuple[_Signature, EntryRecord]] = {}
        self._maps: WeakValueDictionary[str, np.memmap[Any, np.dtype[np.float32]]] = WeakValueDictionary()
        self._images: dict[tuple[Path, str], str] = {}

    def key(
        self,
        identity: ModelIdentityLike,
        index: ImageIndex,
        *,
        eval_config: EvalConfig,
        device: torch.device,
        precision: Precision,
    ) -> DescriptorKey:
        """The key of a pair. The first time that an index is seen, a few of its files are read.

        Raises:
            ImageError: one of them cannot be read.
        """
        seen = (index.root, index.fingerprint)
        if seen not in self._images:
            self._images[seen] = images_key(index)
        return descriptor_key(
            identity, self._images[seen], eval_config=eval_config, device=device, precision=precision
        )

    def find(
        self,
        identity: ModelIdentityLike,
        index: ImageIndex,
        *,
        eval_config: EvalConfig,
        device: torch.device,
        precision: Precision,
    ) -> NDArray[np.float32] | None:
        """What is stored, as `describe` returns it; None where nothing sound is. Extracts nothing."""
        key = self.key(identity, index, eval_config=eval_config, device=device, precision=precision)
        try:
            return self._open(key.name, rows_per_image(eval_config) * len(index))
        except (FileNotFoundError, DamagedEntryError):
            return None

    def missing(
        self,
        identity: ModelIdentityLike,
        parts: Sequence[DescribedPart],
        *,
        device: torch.device,
        precision: Precision,
    ) -> list[DescribedPart]:
        """Those of `parts` that `describe` would extract, each once."""
        names: set[str] = set()
        missing = []
        for part in parts:
            index, eval_config = part.index, part.eval_config
            key = self.key(identity, index, eval_config=eval_config, device=device, precision=precision)
            if key.name in names:
                continue
            names.add(key.name)
            found = self.find(identity, index, eval_config=eval_config, device=device, precision=precision)
            if found is None:
                missing.append(part)
        return missing

    def describe(
        self,
        network_or_factory: NetworkSource,
        identity: ModelIdentityLike,
        index: ImageIndex,
        *,
        eval_config: EvalConfig,
        device: torch.device,
        precision: Precision,
        loader_threads: int = 2,
        progress: Callable[[int], None] | None = None,
        timing: Callable[[float], None] | None = None,
        label: str = "",
    ) -> NDArray[np.float32]:
        """Describe every image of `index`, from the store if it has them.

        Args:
            network_or_factory: the network on `device`, or what gives it, called only to extract.
            identity: of that network.
            index: n images, at least one.
            eval_config: of these very images, see `extract_descriptors`; its batch size is no part of the
                key.
            device: where the network is, or was when it extracted: see `descriptor_key`.
            precision: see `extract_descriptors`.
            loader_threads: see `extract_descriptors`.
            progress: called with the number of images just extracted; never for what is stored.
            timing: called with the seconds that extraction took; never for what is stored.
            label: what people call the network, for `vgsearch descriptors ls`.

        Returns:
            float32 (n * rows_per_image, d), read-only, mapped from the file, rows of norm 1 in index order.

        Raises:
            StorageError: the disk is full or cannot be written; nothing is left half-written.
            DataError: the images changed while they were described, or as `extract_descriptors`.
            ImageError: as `extract_descriptors`.
            DivergedError: as `extract_descriptors`; nothing is stored then.
        """
        key = self.key(identity, index, eval_config=eval_config, device=device, precision=precision)
        num_rows = rows_per_image(eval_config) * len(index)
        try:
            return self._open(key.name, num_rows)
        except (FileNotFoundError, DamagedEntryError):
            pass
        with self._lock(key.name, index):
            # Another process may have made it meanwhile.
            try:
                return self._open(key.name, num_rows)
            except FileNotFoundError:
                pass
            except DamagedEntryError as damage:
                self._say(f"stored descriptors of {index.root} were damaged and are made anew ({damage})")
            before = image_states(index, loader_threads)
            network = (
                network_or_factory if isinstance(network_or_factory, nn.Module) else network_or_factory()
            )
            start_s = time.perf_counter()
            with reserving_room(network, self.root, num_rows):
                rows = extract_descriptors(
                    network,
                    index,
                    eval_config=eval_config,
                    device=device,
                    precision=precision,
                    loader_threads=loader_threads,
                    progress=progress,
                )
            spent_s = time.perf_counter() - start_s
            require_unchanged(index, before, image_states(index, loader_threads))
            record = write_entry(self.root / key.name, key, rows, model=label, images=index.title)
            self._checked[key.name] = (self._signature(key.name), record)
            if timing is not None:
                timing(spent_s)
            return self._open(key.name, num_rows)

    def _open(self, name: str, num_rows: int) -> np.memmap[Any, np.dtype[np.float32]]:
        """Map an entry, checking it if this file has not been checked yet.

        Raises:
            FileNotFoundError: there is none.
            DamagedEntryError: it is not what was written.
        """
        folder = self.root / name
        if not folder.is_dir():
            raise FileNotFoundError(folder)
        try:
            signature = self._signature(name)
        except OSError as error:
            raise DamagedEntryError(f"{DATA_FILE} is missing, {error.strerror}") from error
        checked = self._checked.get(name)
        if checked is None or checked[0] != signature:
            self._maps.pop(name, None)
            checked = self._checked[name] = (signature, check_entry(folder, num_rows))
        rows = self._maps.get(name)
        if rows is None:
            record = checked[1]
            try:
                rows = map_rows(
                    folder / DATA_FILE,
                    num_images=record.num_images,
                    dim=record.dim,
                    header_bytes=record.header_bytes,
                )
            except (FileNotFoundError, ValueError) as error:
                # Deleted or replaced since it was checked.
                raise DamagedEntryError(f"{DATA_FILE} is gone or cut short") from error
            self._maps[name] = rows
        return rows

    def _signature(self, name: str) -> _Signature:
        """What changes when a data file is replaced or written to."""
        status = (self.root / name / DATA_FILE).stat()
        return status.st_ino, status.st_size, status.st_mtime_ns

    @contextmanager
    def _lock(self, name: str, index: ImageIndex) -> Iterator[None]:
        """Hold an entry's lock; a line is said where another process has it."""
        try:
            lock = entry_lock(self.root, name)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                self._say(f"another process is describing {index.root} with the same model: waiting for it")
                lock.acquire(timeout=-1)
        except OSError as error:
            raise storage_error(self.root, error) from error
        try:
            yield
        finally:
            lock.release()


def entry_lock(root: Path, name: str) -> FileLock:
    """The lock of an entry. Its empty file stays: deleting it would let two processes hold it at once.

    Raises:
        OSError: its folder cannot be made.
    """
    path = root / "locks" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path)
