"""Kernels that repeat themselves bit for bit, for a trial that asks for them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from vgsearch.errors import ConfigError

_CUBLAS = "CUBLAS_WORKSPACE_CONFIG"
_REPEATABLE_WORKSPACES = (":4096:8", ":16:8")
_NO_KERNEL = "does not have a deterministic implementation"


@contextmanager
def deterministic_kernels(wanted: bool) -> Iterator[None]:
    """Inside, run a trial's operations in their deterministic forms; afterwards all flags are as before.

    What it covers: the same trial with the same number of processes on the same kind of GPU, driver and
    PyTorch gives the same bits twice, resumed or not. cuDNN takes its deterministic algorithms and no longer
    tries which is fastest, cuBLAS works in a fixed workspace, scatter and index operations add up in a fixed
    order, and compiled kernels are not tuned by timing. What it does not cover: another model of GPU, another
    number of processes or another version add up in another order; `time/...`, `cost/query_ms` and the like
    are measurements; other trials' use of the GPU changes nothing.

    What it costs: nothing on a CPU, whose kernels repeat themselves anyway (with the same number of threads)
    and give the same results with and without. On a GPU it costs throughput (no search for the fastest
    convolution, slower backward passes) and 32 MiB for cuBLAS. How much depends on the backbone: compare
    `train/images_per_s`.

    Args:
        wanted: False changes nothing.

    Raises:
        ConfigError: this process used a GPU before with another cuBLAS workspace, or the trial needs an
            operation that has no deterministic kernel on its device.
    """
    if not wanted:
        yield
        return
    _fix_cublas_workspace()
    mode = torch.get_deterministic_debug_mode()
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark, cudnn.deterministic
    torch.use_deterministic_algorithms(True)
    cudnn.benchmark, cudnn.deterministic = False, True
    try:
        yield
    except RuntimeError as error:
        if _NO_KERNEL not in str(error):
            raise
        operation = (str(error).split(_NO_KERNEL)[0].split() or ["an operation"])[-1]
        raise ConfigError(
            [
                f"deterministic: the trial needs {operation}, which has no deterministic form here; "
                "choose another trial.backbone, or run without --deterministic"
            ]
        ) from error
    finally:
        torch.set_deterministic_debug_mode(mode)
        cudnn.benchmark, cudnn.deterministic = before


def _fix_cublas_workspace() -> None:
    """Choose the workspace before cuBLAS starts: it looks at the environment once in a process."""
    given = os.environ.get(_CUBLAS)
    if given in _REPEATABLE_WORKSPACES:
        return
    gpu_in_use: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    if given is None and not gpu_in_use:
        os.environ[_CUBLAS] = _REPEATABLE_WORKSPACES[0]
        return
    raise ConfigError(
        [
            f"deterministic: {_CUBLAS} must be {' or '.join(_REPEATABLE_WORKSPACES)} before this process "
            f"first uses a GPU, but it is {given or 'not set'}: set it in the environment and start again"
        ]
    )
