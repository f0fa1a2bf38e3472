"""Bring a process that already ran a trial back to where a fresh one starts."""

from __future__ import annotations

import gc
import random
import sys

import numpy as np
import torch


def reset_process(*, seed: int = 0, compute_threads: int | None = None) -> None:
    """Undo what an earlier trial in this process may have left: call it before a trial is built.

    Resets the generators of Python, NumPy and PyTorch (nothing of ours draws from them; a backbone's dropout
    would), cuDNN and matmul flags, default dtype, gradient mode, deterministic mode, compiled graphs, and
    releases GPU memory that nobody uses.

    Args:
        seed: for the three global generators.
        compute_threads: threads inside one PyTorch operation; null leaves the number as it is.
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    torch.set_default_dtype(torch.float32)
    torch.set_grad_enabled(True)
    torch.use_deterministic_algorithms(False)
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.enabled = True
    torch.backends.cudnn.deterministic = False
    torch.backends.cudnn.benchmark = False
    if compute_threads is not None:
        torch.set_num_threads(compute_threads)
    if "torch._dynamo" in sys.modules:  # importing it for nothing would cost a second
        torch.compiler.reset()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
