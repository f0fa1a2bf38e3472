"""Equal tensors and metadata as equal bytes, so that a file's hash says whether anything changed."""

from __future__ import annotations

import json
import struct
from pathlib import Path


def sort_header(path: Path) -> None:
    """Put the metadata of a safetensors file in order, in place.

    The library writes metadata in an order that differs from call to call. Only the header is touched, and
    sorting does not change its length; where it would, with another version of the library, nothing is done.
    """
    with path.open("r+b") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header.get("__metadata__", {}).items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) <= length:
            file.seek(8)
            file.write(text.ljust(length))
