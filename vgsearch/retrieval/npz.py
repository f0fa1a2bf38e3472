"""Arrays as `.npz` bytes: no pickled objects in either direction, and equal arrays make equal bytes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgsearch.errors import DataError

_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def npz_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Write `arrays` as a compressed `.npz`.

    `numpy.savez` stamps each member with the time of day; this writes a fixed one, so that a resumed run
    leaves the same file as an uninterrupted one.

    Raises:
        ValueError: an array of Python objects.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", date_time=_ZIP_EPOCH)
            archive.writestr(info, member.getvalue(), compress_type=zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def read_npz(source: bytes | Path) -> dict[str, NDArray[Any]]:
    """Read every array of an `.npz`, given as its bytes or its path; pickled objects are refused.

    Raises:
        DataError: the file is missing, is no `.npz`, or holds pickled objects.
    """
    named = str(source) if isinstance(source, Path) else f"{len(source)} bytes"
    try:
        data = source.read_bytes() if isinstance(source, Path) else source
        if not zipfile.is_zipfile(io.BytesIO(data)):
            raise ValueError("it is no .npz archive")
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"per-query results cannot be read from {named}: {reason}; score again") from error
