"""Reading tensors that come from outside: safely, and checked before anything computes with them."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vgsearch.errors import CheckpointError, first_line

_MAX_HEADER_BYTES = 8 * 2**20
_NAMES_SHOWN = 3


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file with a header of at most 8 MiB (a network needs some 100 KiB).

    Returns:
        Tensors by name, on the CPU, and the file's metadata.

    Raises:
        CheckpointError: The file is missing or damaged.
    """
    try:
        with path.open("rb") as file:
            prefix = file.read(8)
        if len(prefix) < 8 or struct.unpack("<Q", prefix)[0] > _MAX_HEADER_BYTES:
            raise CheckpointError(f"{path}: is no safetensors file, its header is cut or too long")
        with safe_open(path, framework="pt", device="cpu") as stored:
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
            return tensors, dict(stored.metadata() or {})
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise CheckpointError(f"{path}: cannot be read ({reason}); is this a checkpoint folder?") from error
    except (SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path}: is damaged ({first_line(error)}); use another checkpoint") from error


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
