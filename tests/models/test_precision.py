from __future__ import annotations

import pytest
import torch

from vgsearch.errors import ConfigError
from vgsearch.models import precision as subject
from vgsearch.models.precision import (
    autocast,
    has_native_bf16,
    pick_device,
    resolve_precision,
    resolve_scoring_precision,
)

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("device", "native", "name", "scaler"),
    [
        (CPU, True, "bf16", False),
        (CPU, False, "fp32", False),
        (CUDA, True, "bf16", False),
        (CUDA, False, "fp16", True),
    ],
)
def test_auto(
    monkeypatch: pytest.MonkeyPatch, device: torch.device, native: bool, name: str, scaler: bool
) -> None:
    monkeypatch.setattr(subject, "has_native_bf16", lambda _: native)
    decided = resolve_precision("auto", device)
    assert (decided.name, decided.use_scaler) == (name, scaler)


def test_what_is_asked_for_is_given() -> None:
    assert resolve_precision("fp32", CPU).dtype == torch.float32
    assert resolve_precision("bf16", CPU).dtype == torch.bfloat16
    assert resolve_precision("fp16", CUDA).use_scaler


def test_fp16_without_cuda_is_refused_in_words() -> None:
    with pytest.raises(
        ConfigError, match=r"precision: fp16 needs a CUDA device.*cpu; use auto, bf16 or fp32"
    ):
        resolve_precision("fp16", CPU)


def test_scoring_takes_an_fp16_checkpoint_anywhere() -> None:
    assert resolve_scoring_precision("fp16", CPU) == resolve_precision("auto", CPU)
    assert resolve_scoring_precision("fp16", CUDA).dtype == torch.float16
    assert resolve_scoring_precision("fp32", CPU).dtype == torch.float32


def test_cpu_probe_agrees_with_the_kernel() -> None:
    try:
        flags = open("/proc/cpuinfo").read().split()  # noqa: SIM115
    except OSError:
        pytest.skip("no /proc/cpuinfo")
    assert has_native_bf16(CPU) == any(flag in flags for flag in ("avx512_bf16", "amx_bf16", "bf16"))


def test_autocast_region() -> None:
    a = torch.randn(4, 4)
    with autocast(resolve_precision("bf16", CPU), CPU):
        assert (a @ a).dtype == torch.bfloat16
    with autocast(resolve_precision("fp32", CPU), CPU):
        assert (a @ a).dtype == torch.float32


def test_pick_device() -> None:
    assert pick_device().type == ("cuda" if torch.cuda.is_available() else "cpu")
