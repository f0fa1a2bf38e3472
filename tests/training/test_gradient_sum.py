from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from vgsearch.training.gradient_sum import norms_agree, squared_norm

SCRIPT = """
import sys
import torch
import torch.distributed as dist
from vgsearch.training.gradient_sum import sum_over_processes

folder, rank = sys.argv[1], int(sys.argv[2])
dist.init_process_group("gloo", store=dist.FileStore(f"{folder}/store", 2), rank=rank, world_size=2)
generator = torch.Generator().manual_seed(rank)
shapes = [(4, 3, 2, 2), (5,), (1,), (2, 3)]
parameters = [torch.nn.Parameter(torch.zeros(shape)) for shape in shapes]
for parameter in parameters:
    parameter.grad = torch.randn(parameter.shape, generator=generator)
parameters[0].grad = parameters[0].grad.to(memory_format=torch.channels_last)
parameters[2].grad = None
own = [None if p.grad is None else p.grad.clone() for p in parameters]
sums = sum_over_processes(parameters, [torch.tensor(1.5 + rank), torch.tensor(-2.0)])
summed = [None if p.grad is None else p.grad.clone() for p in parameters]

# One process overflows; a scaler in each must see it and skip the step of this optimizer.
optimizer = torch.optim.SGD(parameters, lr=1.0)
scaler = torch.amp.GradScaler("cpu", init_scale=4.0, growth_interval=1)
scaler.scale(torch.ones(()))
if rank == 1:
    parameters[1].grad[2] = float("inf")
sum_over_processes(parameters, [torch.tensor(0.0)])
scaler.step(optimizer)
scaler.update()
torch.save((own, sums, summed, [p.data for p in parameters], scaler.get_scale()), f"{folder}/{rank}.pt")
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_sums_are_those_of_all_processes(tmp_path: Path) -> None:
    (tmp_path / "run.py").write_text(SCRIPT)
    ranks = [subprocess.Popen([sys.executable, tmp_path / "run.py", tmp_path, str(r)]) for r in range(2)]
    assert [rank.wait(120) for rank in ranks] == [0, 0]
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    for mine, theirs, ours, copy in zip(first[0], second[0], first[2], second[2], strict=True):
        assert (mine is None) == (ours is None)
        if mine is not None:
            assert torch.equal(ours, mine + theirs)
            assert torch.equal(ours, copy)
            assert ours.stride() == mine.stride()
    for sums in (first[1], second[1]):
        assert [float(value) for value in sums] == [4.0, -4.0]
    for *_, weights, scale in (first, second):
        assert scale == 2.0
        assert all(not weight.any() for weight in weights)


def test_squared_norm() -> None:
    tensors = [torch.tensor([3.0, 4.0]), torch.tensor([7]), torch.tensor([[1e-3]], dtype=torch.bfloat16)]
    assert squared_norm(tensors) == 25.0 + float(tensors[2]) ** 2
    assert norms_agree(25.0, 25.0 + 1e-6)
    assert not norms_agree(25.0, 25.001)
