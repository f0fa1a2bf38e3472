"""Gradients added up over the processes of a trial, in one exchange after the backward pass.

Not DistributedDataParallel: it wraps one module, and a step here has three (network, margin head, domain
classifier) with losses that each concern a part of them, a head that changes with every epoch, a compiled
forward pass and frozen stages. One flat sum after `backward` is the same for all of these. What it gives up
is the overlap of the exchange with the backward pass: a ResNet-18 with 30,000 classes exchanges about 100 MB
a step, some milliseconds between GPUs of one machine.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
import torch.distributed as dist
from torch import Tensor

from vgsearch.models.exchange import exchanging


def sum_over_processes(parameters: Iterable[torch.nn.Parameter], values: Sequence[Tensor]) -> list[Tensor]:
    """Replace every gradient by its sum over all processes, bit for bit the same in each.

    An infinity or NaN in one process's gradients reaches all, so a gradient scaler skips the step in all or
    none.

    Args:
        parameters: in the same order in every process; those without a gradient must have none in any.
        values: 0-d tensors to add up on the way.

    Returns:
        The sums of `values`, float32.

    Raises:
        ExchangeError: another process is gone or does not answer in time.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([*(gradient.reshape(-1) for gradient in gradients), *(v.reshape(1) for v in values)])
    with exchanging("gradients"):
        dist.all_reduce(flat)
    *summed, sums = torch.split(flat, [*(g.numel() for g in gradients), len(values)])
    for gradient, total in zip(gradients, summed, strict=True):
        gradient.copy_(total.view(gradient.shape))
    return list(sums.unbind())


def squared_norm(tensors: Iterable[Tensor]) -> float:
    """Sum of the squares of all floating tensors on any devices, in float64."""
    return math.fsum(float(t.detach().double().square().sum()) for t in tensors if t.is_floating_point())


def norms_agree(ours: float, theirs: float) -> bool:
    """Whether two `squared_norm`s are equal up to what GPUs of different models may round differently."""
    return math.isclose(ours, theirs, rel_tol=1e-6)
