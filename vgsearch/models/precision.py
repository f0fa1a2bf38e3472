"""Which number format a device computes in, and the autocast region that goes with it."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

import torch

from vgsearch.errors import ConfigError

PrecisionName = Literal["auto", "fp32", "bf16", "fp16"]

_DTYPES: dict[str, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


@dataclass(frozen=True)
class Precision:
    """A decided precision.

    Attributes:
        dtype: `float32` (no autocast), `bfloat16` or `float16`.
        use_scaler: Whether training needs a gradient scaler, since float16 gradients underflow.
    """

    dtype: torch.dtype
    use_scaler: bool

    @property
    def name(self) -> str:
        """Short name as in the configuration: `fp32`, `bf16` or `fp16`."""
        return next(name for name, dtype in _DTYPES.items() if dtype == self.dtype)


def pick_device() -> torch.device:
    """The current CUDA device where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_native_bf16(device: torch.device) -> bool:
    """Whether `device` multiplies bfloat16 matrices in hardware.

    CUDA: compute capability 8.0 or more (emulation does not count). CPU: AVX512-BF16 or AMX-BF16 on x86,
    the BF16 extension on ARM, as far as this torch can tell; everything else counts as no.
    """
    if device.type == "cuda":
        with torch.cuda.device(device):
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
        if capabilities:
            return any(bool(capabilities.get(key)) for key in ("avx512_bf16", "amx_bf16", "bf16"))
        probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return any(bool(getattr(torch.cpu, probe, bool)()) for probe in probes)
    return False


def resolve_precision(name: PrecisionName, device: torch.device) -> Precision:
    """Decide the precision for `device`.

    `auto` is bf16 where the device does it natively, else fp16 with a scaler on CUDA, else fp32.

    Raises:
        ConfigError: fp16 is asked for on a device that is not CUDA: its convolutions have no fast
            float16 there and autocast would be slower than fp32.
    """
    if name == "auto":
        fallback: PrecisionName = "fp16" if device.type == "cuda" else "fp32"
        name = "bf16" if has_native_bf16(device) else fallback
    if name == "fp16" and device.type != "cuda":
        raise ConfigError(
            [
                f"trial.precision: fp16 needs a CUDA device, but this trial runs on {device.type}; "
                "use auto, bf16 or fp32"
            ]
        )
    return Precision(dtype=_DTYPES[name], use_scaler=name == "fp16")


def resolve_scoring_precision(name: PrecisionName, device: torch.device) -> Precision:
    """Precision for scoring a checkpoint that trained with `name`, perhaps on another kind of device.

    As `resolve_precision`, but fp16 off CUDA counts as `auto`: what a trial trained with must not keep
    its checkpoint from being scored on a laptop.
    """
    return resolve_precision("auto" if name == "fp16" and device.type != "cuda" else name, device)


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Context in which matrix products and convolutions on `device` run in `precision`."""
    if precision.dtype == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=precision.dtype)
