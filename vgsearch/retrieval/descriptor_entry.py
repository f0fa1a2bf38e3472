"""One entry of the store: a folder with `descriptors.npy` and with `entry.json`, which vouches for it."""

from __future__ import annotations

import io
import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgsearch import __version__
from vgsearch.models.atomic_folder import atomic_folder
from vgsearch.retrieval.descriptor_checksum import checksum_of_file, checksum_of_parts
from vgsearch.retrieval.descriptor_key import DescriptorKey

DATA_FILE = "descriptors.npy"
RECORD_FILE = "entry.json"

_WRITE_BYTES = 16 * 2**20
_MAX_RECORD_BYTES = 2**20


class DamagedEntryError(Exception):
    """An entry is not what was written; says why. Never the user's to see: the entry is made anew."""


@dataclass(frozen=True)
class EntryRecord:
    """What `entry.json` says.

    Attributes:
        name: of the entry's key.
        key: the key's fields, to be read by people.
        num_images: rows n; an image may have several.
        dim: columns d.
        header_bytes: where the rows begin in `descriptors.npy`.
        checksum: of the whole of `descriptors.npy`, see `checksum_of_file`.
        model: what people call the network; may be empty.
        images: folder of the images when they were described.
        made_at: ISO 8601, UTC.
        made_by: the version of vgsearch.
    """

    name: str
    key: dict[str, Any]
    num_images: int
    dim: int
    header_bytes: int
    checksum: str
    model: str
    images: str
    made_at: str
    made_by: str

    @property
    def data_bytes(self) -> int:
        """Size that `descriptors.npy` must have."""
        return self.header_bytes + 4 * self.num_images * self.dim


def write_entry(
    folder: Path, key: DescriptorKey, rows: NDArray[np.float32], *, model: str, images: str
) -> EntryRecord:
    """Write an entry whole or not at all, in place of one that is there. The caller holds its lock.

    Args:
        folder: the entry's folder, named after the key.
        key: what the rows are a function of.
        rows: float32 (n, d).
        model: what people call the network.
        images: where the images lie.

    Raises:
        StorageError: the disk is full or the place cannot be written.
    """
    rows = np.ascontiguousarray(rows, dtype="<f4")
    header = _npy_header(rows.shape)
    data = rows.data.cast("B")
    record = EntryRecord(
        name=key.name,
        key=asdict(key),
        num_images=rows.shape[0],
        dim=rows.shape[1],
        header_bytes=len(header),
        checksum=checksum_of_parts(header, data),
        model=model,
        images=images,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        made_by=__version__,
    )
    with atomic_folder(folder) as temporary:
        with (temporary / DATA_FILE).open("wb", buffering=0) as file:
            for part in (memoryview(header), data):
                _write_all(file, part)
        (temporary / RECORD_FILE).write_text(json.dumps(asdict(record), indent=1) + "\n", encoding="utf-8")
    return record


def read_record(folder: Path) -> EntryRecord:
    """Read `entry.json`.

    Raises:
        FileNotFoundError: there is no such entry.
        DamagedEntryError: it does not hold a record of this entry.
    """
    if not folder.is_dir():
        raise FileNotFoundError(folder)
    path = folder / RECORD_FILE
    try:
        if path.stat().st_size > _MAX_RECORD_BYTES:
            raise DamagedEntryError(f"{RECORD_FILE} is far too long")
        content = json.loads(path.read_text(encoding="utf-8"))
        record = EntryRecord(**content)
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise DamagedEntryError(f"{RECORD_FILE} cannot be read, {type(error).__name__}") from error
    numbers = (record.num_images, record.dim, record.header_bytes)
    if not all(type(number) is int and number > 0 for number in numbers):
        raise DamagedEntryError(f"{RECORD_FILE} gives no shape")
    texts = (record.checksum, record.model, record.images, record.made_at, record.made_by)
    if not all(isinstance(text, str) for text in texts) or not isinstance(record.key, dict):
        raise DamagedEntryError(f"{RECORD_FILE} holds values of other types")
    if record.name != folder.name:
        raise DamagedEntryError(f"{RECORD_FILE} is another entry's")
    return record


def check_entry(folder: Path, num_rows: int) -> EntryRecord:
    """Read an entry's record and all of its data once.

    Raises:
        FileNotFoundError: there is no such entry.
        DamagedEntryError: the data is cut short, altered, or of another number of rows.
    """
    record = read_record(folder)
    if record.num_images != num_rows:
        raise DamagedEntryError(f"it has {record.num_images} rows instead of {num_rows}")
    data = folder / DATA_FILE
    try:
        size_bytes = data.stat().st_size
        if size_bytes != record.data_bytes:
            raise DamagedEntryError(f"{DATA_FILE} has {size_bytes} bytes instead of {record.data_bytes}")
        if checksum_of_file(data, record.header_bytes) != record.checksum:
            raise DamagedEntryError(f"the checksum of {DATA_FILE} is another")
    except OSError as error:
        raise DamagedEntryError(f"{DATA_FILE} cannot be read, {error.strerror or error}") from error
    return record


def _npy_header(shape: tuple[int, ...]) -> bytes:
    """NumPy's own header (its length is a multiple of 64), so that `numpy.load` reads the file too."""
    stream = io.BytesIO()
    layout = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, layout)
    return stream.getvalue()


def _write_all(file: io.FileIO, part: memoryview) -> None:
    """Write all of `part`: a full disk may take some of it and only then say so."""
    start = 0
    while start < len(part):
        start += os.write(file.fileno(), part[start : start + _WRITE_BYTES])
