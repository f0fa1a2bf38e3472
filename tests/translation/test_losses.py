"""The losses against plain loops over numbers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vgsearch.translation.losses import (
    adversarial_loss,
    code_loss,
    cycle_loss,
    half_size_loss,
    relativistic_loss,
)


def predictions(seed: int, count: int) -> list[Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(2, 3 + k, 4, generator=draw, requires_grad=True) for k in range(count)]


def looped(real: list[Tensor], fake: list[Tensor], wanted: float) -> float:
    count, total, weights = len(real), 0.0, 0
    for k in range(count):
        squares = [
            (r - f - wanted) ** 2
            for r, f in zip(real[k].flatten().tolist(), fake[k].flatten().tolist(), strict=True)
        ]
        weight = k + 1 + (k == count - 1)
        total += weight * sum(squares) / len(squares)
        weights += weight
    return total / (weights * count)


@pytest.mark.parametrize("count", [1, 3, 4])
@pytest.mark.parametrize("of_discriminator", [True, False])
def test_relativistic_least_squares(count, of_discriminator):
    real, fake = predictions(0, count), predictions(1, count)
    loss = relativistic_loss(real, fake, of_discriminator=of_discriminator)
    assert loss.item() == pytest.approx(looped(real, fake, 1.0 if of_discriminator else -1.0), rel=1e-5)
    loss.backward()
    assert all(f.grad.abs().sum() > 0 for f in fake)
    assert all((r.grad is not None) == of_discriminator for r in real)


def test_mean_over_discriminators():
    real, fake = [predictions(k, 2 + k) for k in range(3)], [predictions(9 + k, 2 + k) for k in range(3)]
    expected = sum(looped(r, f, 1.0) for r, f in zip(real, fake, strict=True)) / 3
    assert adversarial_loss(real, fake, of_discriminator=True).item() == pytest.approx(expected, rel=1e-5)


def huber(differences: list[float]) -> float:
    return sum(d * d / 2 if abs(d) < 1 else abs(d) - 0.5 for d in differences) / len(differences)


def test_cycle_and_half_size():
    draw = torch.Generator().manual_seed(0)
    a, b = (2 * torch.randn(1, 3, 9, 8, generator=draw) for _ in range(2))
    assert cycle_loss(a, b).item() == pytest.approx(huber((a - b).flatten().tolist()), rel=1e-5)
    means = [
        float((a - b)[0, c, y : y + 3, x : x + 3].mean())
        for c in range(3)
        for y in range(0, 7, 2)
        for x in range(0, 6, 2)
    ]
    assert half_size_loss(a, b).item() == pytest.approx(huber(means), rel=1e-4)


def test_codes_are_pulled_one_way():
    codes, wanted = (torch.randn(2, 3, requires_grad=True) for _ in range(2))
    code_loss(codes, wanted).backward()
    assert codes.grad is not None
    assert wanted.grad is None
