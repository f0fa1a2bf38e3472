"""How a process uses its CPUs: threads that compute, threads that load, and the memory of both."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from vgsearch.training.host_memory import keep_freed_memory


@dataclass(frozen=True)
class ThreadSplit:
    """A share of CPUs for each kind of work.

    Attributes:
        compute: threads inside one PyTorch operation.
        loader: threads that read, decode and crop images.
    """

    compute: int
    loader: int


def split_threads(
    threads: int | None, device: torch.device, *, loader_threads: int | None = None, processes: int = 1
) -> ThreadSplit:
    """Share `threads` CPUs; null takes all that this process may run on. `loader_threads` is taken as given.

    With several `processes` the answer is what each of them gets of `threads` and of `loader_threads`, 1 of
    each kind at least.

    On a CPU the network takes nearly all the time (one core decodes about 900 photos of 512 px a second where
    two cores train on ten), so every CPU computes and one loader thread slips in between, two from 8 CPUs on.
    On a GPU the main thread only launches kernels: it keeps one CPU and the others load.
    """
    if threads is None:
        threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = threads // processes
    if loader_threads is not None:
        loader_threads = max(1, loader_threads // processes)
    if device.type == "cpu":
        return ThreadSplit(compute=max(1, threads), loader=loader_threads or (1 if threads < 8 else 2))
    return ThreadSplit(compute=1, loader=loader_threads or max(1, threads - 1))


def take_cpus(
    device: torch.device, threads: int | None = None, *, loader_threads: int | None = None
) -> ThreadSplit:
    """Set this process up to compute on `device`: whatever runs a network for long begins with it.

    Sets the number of PyTorch's compute threads to its share, see `split_threads`, and on a CPU keeps freed
    memory, see `keep_freed_memory`.

    Returns:
        The shares.
    """
    split = split_threads(threads, device, loader_threads=loader_threads)
    torch.set_num_threads(split.compute)
    if device.type == "cpu":
        keep_freed_memory()
    return split
