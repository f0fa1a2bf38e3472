from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from vgsearch.training.reset import reset_process


@pytest.fixture(autouse=True)
def _restore_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    reset_process()


def _draws() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_undoes_what_a_trial_may_leave() -> None:
    reset_process(seed=3, compute_threads=1)
    expected = _draws()
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("medium")
    torch.set_num_threads(2)
    _draws()
    reset_process(seed=3, compute_threads=1)
    assert _draws() == expected
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()
    assert not torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.benchmark
    assert torch.get_float32_matmul_precision() == "highest"
    assert torch.get_num_threads() == 1


def test_leaves_the_threads_without_a_number() -> None:
    torch.set_num_threads(1)
    reset_process()
    assert torch.get_num_threads() == 1
