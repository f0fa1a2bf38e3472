from __future__ import annotations

import torch

from vgsearch.training.threads import ThreadSplit, split_threads


def test_a_cpu_computes_with_all() -> None:
    cpu = torch.device("cpu")
    assert split_threads(2, cpu) == ThreadSplit(compute=2, loader=1)
    assert split_threads(16, cpu) == ThreadSplit(compute=16, loader=2)


def test_a_gpu_leaves_them_to_loading() -> None:
    gpu = torch.device("cuda")
    assert split_threads(8, gpu) == ThreadSplit(compute=1, loader=7)
    assert split_threads(1, gpu) == ThreadSplit(compute=1, loader=1)


def test_processes_divide_them() -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert split_threads(5, cpu, processes=2) == ThreadSplit(compute=2, loader=1)
    assert split_threads(1, cpu, processes=2) == ThreadSplit(compute=1, loader=1)
    assert split_threads(16, gpu, processes=4) == ThreadSplit(compute=1, loader=3)
    assert split_threads(16, gpu, loader_threads=6, processes=4) == ThreadSplit(compute=1, loader=1)


def test_null_takes_those_of_the_process() -> None:
    assert split_threads(None, torch.device("cpu")).compute >= 1
