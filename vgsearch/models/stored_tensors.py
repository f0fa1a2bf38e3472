"""Tensors in safetensors files: written repeatably, read safely, checked before they are computed with."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vgsearch.errors import CheckpointError, first_line

_MAX_HEADER_BYTES = 8 * 2**20
_NAMES_SHOWN = 3


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file; equal tensors and metadata give equal bytes.

    Args:
        path: The file.
        tensors: By name, on the CPU, contiguous, no two of them sharing memory.
        metadata: Short texts by name.

    Raises:
        SafetensorError, RuntimeError: From the library, which hides the OSError of a full disk.
        OSError: The file cannot be opened again.
    """
    save_file(dict(tensors), path, metadata=dict(metadata))
    _sort_metadata(path)


def open_tensors(path: Path) -> Any:
    """Open a safetensors file with a header of at most 8 MiB (a network needs some 100 KiB).

    Returns:
        The library's handle, to be used in a `with`.

    Raises:
        CheckpointError: The file is missing or damaged.
    """
    with _reading(path):
        with path.open("rb") as file:
            prefix = file.read(8)
        if len(prefix) < 8 or struct.unpack("<Q", prefix)[0] > _MAX_HEADER_BYTES:
            raise CheckpointError(f"{path}: is no safetensors file, its header is cut or too long")
        return safe_open(path, framework="pt", device="cpu")


def read_metadata(path: Path) -> dict[str, str]:
    """Read the metadata of a safetensors file; `CheckpointError` as `open_tensors`."""
    with open_tensors(path) as stored:
        return dict(stored.metadata() or {})


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a whole safetensors file.

    Returns:
        Tensors by name, on the CPU, and the file's metadata.

    Raises:
        CheckpointError: The file is missing or damaged.
    """
    with _reading(path), open_tensors(path) as stored:
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        return tensors, dict(stored.metadata() or {})


def require_same_tensors(expected: Mapping[str, Tensor], given: Mapping[str, Tensor], context: str) -> None:
    """Check names, shapes, dtypes and finiteness of `given` against `expected`.

    Raises:
        CheckpointError: One line that begins with `context`, counts the faults and names some tensors.
    """
    faults = {
        "missing": [name for name in expected if name not in given],
        "unexpected": [name for name in given if name not in expected],
        "of another shape": [
            f"{name}: {tuple(given[name].shape)} instead of {tuple(tensor.shape)}"
            for name, tensor in expected.items()
            if name in given and given[name].shape != tensor.shape
        ],
        "of another dtype": [
            f"{name}: {given[name].dtype} instead of {tensor.dtype}"
            for name, tensor in expected.items()
            if name in given and given[name].dtype != tensor.dtype
        ],
        "with NaN or infinity": [
            name
            for name, tensor in given.items()
            if tensor.is_floating_point() and not torch.isfinite(tensor).all()
        ],
    }
    found = [f"{len(names)} {fault} ({name_some(names)})" for fault, names in faults.items() if names]
    if found:
        raise CheckpointError(f"{context}: tensors {', '.join(found)}; use another checkpoint")


def name_some(names: list[str]) -> str:
    """The first few names, with dots if there are more."""
    more = ", ..." if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """What goes wrong while `path` is read, as a `CheckpointError`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise CheckpointError(f"{path}: cannot be read ({reason}); is this a checkpoint folder?") from error
    except (SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path}: is damaged ({first_line(error)}); use another checkpoint") from error


def _sort_metadata(path: Path) -> None:
    """Put the metadata of a safetensors file in order, in place.

    The library writes it in an order that differs from call to call, and with it the file's hash. Only the
    header is touched, and sorting does not change its length; where it would, with another version of the
    library, nothing is done.
    """
    with path.open("r+b") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header.get("__metadata__", {}).items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) <= length:
            file.seek(8)
            file.write(text.ljust(length))
