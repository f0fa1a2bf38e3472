from __future__ import annotations

import json
import platform
import subprocess
import sys

import pytest

SCRIPT = """
import json, resource, torch
from vgsearch.training.threads import take_cpus

def faults():
    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        block = b"x" * (64 * 2**20)
        del block
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

counts = [faults()]
for device, threads in (("cuda", 1), ("cpu", 3)):
    assert take_cpus(torch.device(device), 3).compute == torch.get_num_threads() == threads
    counts.append(faults())
print(json.dumps(counts))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_a_large_block_is_mapped_once_where_a_cpu_computes() -> None:
    ran = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, check=True)
    default, with_gpu, with_cpu = json.loads(ran.stdout)
    assert min(default, with_gpu) > 100
    assert with_cpu < 10
