"""Reading the tensors of a file from elsewhere: nothing in it is run, and what it is instead is said."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from vgsearch.errors import WeightsError, first_line
from vgsearch.models.stored_tensors import name_some

_NESTINGS = ("state_dict", "model_state_dict", "model")
_WRAPPER_PREFIXES = ("module.", "_orig_mod.")
_HEAD_BYTES = 512
_GLOBAL = re.compile(r"GLOBAL ([\w.]+) was not an allowed global")
# Training scripts keep their best recall, one NumPy number, beside the weights. A number runs no code.
_NUMPY_NUMBERS: list[Any] = [
    (np.float64(0).__reduce__()[0], name)
    for name in ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
]
_NUMPY_NUMBERS += [np.dtype, *(type(np.dtype(code)) for code in ("f2", "f4", "f8", "i4", "i8", "?"))]


def read_weights_file(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a weights file by name, un-nested and without wrapper prefixes.

    Args:
        path: A `.safetensors` file, or a PyTorch file, which is read with `weights_only=True`: tensors,
            plain values and single NumPy numbers, nested in `state_dict`, `model_state_dict` or `model` or
            not. `module.` (DataParallel) and `_orig_mod.` (torch.compile) before a name are taken off.

    Returns:
        Tensors on the CPU, in the file's order; all floating ones finite.

    Raises:
        WeightsError: It is no such file, is damaged, holds other objects, no tensors or NaN; one line.
    """
    _refuse_other_files(path)
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pytorch(path)
    for key in _NESTINGS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    tensors: dict[str, Tensor] = {}
    for key, value in content.items() if isinstance(content, Mapping) else ():
        if isinstance(key, str) and isinstance(value, Tensor):
            name = _without_prefixes(key)
            if name in tensors:
                raise WeightsError(
                    f"{path} holds {name} twice, with and without a prefix; save one model alone"
                )
            tensors[name] = value
    if not tensors:
        raise WeightsError(f"{path} holds no state dict; save one with its tensors by name")
    require_finite(tensors, str(path))
    return tensors


def require_finite(tensors: Mapping[str, Tensor], source: str) -> None:
    """Raise WeightsError if a tensor holds NaN or infinity."""
    bad = [key for key, t in tensors.items() if t.is_floating_point() and not torch.isfinite(t).all()]
    if bad:
        raise WeightsError(
            f"{source} has NaN or infinity in {len(bad)} tensors ({name_some(bad)}); use another file"
        )


def _refuse_other_files(path: Path) -> None:
    """Name what is often saved under the name of a weights file, from its first bytes."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror or error}); give another file") from error
    start = head.lstrip().lower()
    if not head:
        raise WeightsError(f"{path} is damaged: it is empty; download it again")
    if start.startswith(b"version https://git-lfs"):
        raise WeightsError(f"{path} is a Git LFS pointer and not the weights; fetch them with `git lfs pull`")
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise WeightsError(
            f"{path} is a web page and no weights file; download the file itself, not the page that shows it"
        )
    if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head):
        raise WeightsError(f"{path} is damaged or no weights file: it holds text; download it again")


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except Exception as error:
        raise WeightsError(
            f"{path} is damaged or cut off ({first_line(error)}); download it again"
        ) from error


def _read_pytorch(path: Path) -> object:
    try:
        with torch.serialization.safe_globals(_NUMPY_NUMBERS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = _GLOBAL.search(str(error))
        if found is None:
            raise WeightsError(
                f"{path} is damaged or no PyTorch file; download it again, or save its state dict as "
                ".safetensors"
            ) from error
        raise WeightsError(
            f"{path} holds more than tensors and plain values ({found[1]}), which is not read since it can "
            'run code; if you trust it, convert it once: python -c "import torch; torch.save(torch.load('
            f"'{path}', weights_only=False)['state_dict'], '{path.name.partition('.')[0]}_tensors.pth')\""
        ) from error
    except Exception as error:
        raise WeightsError(
            f"{path} is damaged, cut off or no PyTorch file ({first_line(error)}); download it again"
        ) from error


def _without_prefixes(key: str) -> str:
    for prefix in _WRAPPER_PREFIXES:
        key = key.removeprefix(prefix)
    return key
