"""Float32 nearest-neighbour search by faiss, on the CPU and on a GPU where its wheel has working kernels."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from platformdirs import user_cache_path

GPU_MAX_COUNT = 2048  # faiss selects at most this many neighbours on a GPU
_GPU_TEMPORARY_BYTES = 64 * 2**20  # faiss's default of 1.5 GiB starves trials that share the card
_PROBE_TIMEOUT_S = 180

# torch and faiss-gpu bring two CUDA runtimes into one process; the probe must do the same to tell the truth.
_PROBE = """
import torch
torch.zeros(1, device="cuda").add_(1).cpu()
import faiss
import numpy as np
rows = np.random.default_rng(0).standard_normal((1000, 64)).astype(np.float32)
index = faiss.GpuIndexFlatL2(faiss.StandardGpuResources(), 64)
index.add(rows)
_, ids = index.search(rows, 2)
print("works" if (ids[:, 0] == np.arange(1000)).all() else "wrong")
"""


def search_cpu(database: NDArray[np.float32], queries: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """The `count <= n` nearest rows of each query, int64 (q, count), on as many threads as torch uses."""
    import faiss

    with torch_thread_count():
        index = faiss.IndexFlatL2(database.shape[1])
        index.add(database)
        _, ids = index.search(queries, count)
    return np.asarray(ids, dtype=np.int64)


def search_gpu(
    database: NDArray[np.float32], queries: NDArray[np.float32], count: int, device: torch.device
) -> NDArray[np.int64]:
    """As `search_cpu`, on the CUDA card `device`; only where `gpu_works()`."""
    import faiss

    resources = faiss.StandardGpuResources()
    resources.setTempMemory(_GPU_TEMPORARY_BYTES)
    config = faiss.GpuIndexFlatConfig()
    config.device = torch.cuda.current_device() if device.index is None else device.index
    index = faiss.GpuIndexFlatL2(resources, database.shape[1], config)
    index.add(database)
    _, ids = index.search(queries, count)
    return np.asarray(ids, dtype=np.int64)


@functools.cache
def gpu_works() -> bool:
    """Whether faiss can search on this machine's GPU, tried once per machine in a process of its own.

    A faiss wheel without kernels for the card aborts the process instead of raising, so nothing less than a
    child process can tell. The answer is kept in the user's cache folder until the card or a version changes.
    """
    import faiss

    if not hasattr(faiss, "StandardGpuResources") or not torch.cuda.is_available():
        return False
    machine = (platform.node(), torch.cuda.get_device_name(), torch.__version__, faiss.__version__)
    key = hashlib.sha256("\n".join(machine).encode()).hexdigest()[:16]
    answer = user_cache_path("vgsearch") / f"faiss_gpu_{key}.txt"
    with suppress(OSError):
        return answer.read_text() == "works"
    verdict = _probe()
    _write_atomically(answer, verdict)
    return verdict == "works"


def _probe() -> str:
    """What the child process printed: `works`, or anything else where it does not."""
    try:
        child = subprocess.run(
            [sys.executable, "-c", _PROBE],
            capture_output=True,
            text=True,
            timeout=_PROBE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "fails"
    return "works" if child.returncode == 0 and child.stdout.strip() == "works" else "fails"


def _write_atomically(path: Path, text: str) -> None:
    """Write `text`; an unwritable cache folder costs a probe per process, nothing else."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "w") as file:
            file.write(text)
        os.replace(temporary, path)


@contextmanager
def torch_thread_count() -> Iterator[None]:
    """Let faiss's own OpenMP use as many threads as torch may, and put its setting back afterwards."""
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(torch.get_num_threads())
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
