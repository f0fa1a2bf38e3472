from __future__ import annotations

import pytest
import torch

from vgsearch.models.gradient_reversal import reverse_gradient


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0, 2.5])
@pytest.mark.parametrize("as_tensor", [False, True])
def test_gradient_is_minus_alpha_times_the_plain_one(alpha: float, as_tensor: bool) -> None:
    x = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(4, 5, dtype=torch.float64)
    (plain,) = torch.autograd.grad((weights * x.sin()).sum(), x)
    strength = torch.tensor(alpha) if as_tensor else alpha
    (reversed_,) = torch.autograd.grad((weights * reverse_gradient(x, strength).sin()).sum(), x)
    torch.testing.assert_close(reversed_, -alpha * plain, rtol=1e-6, atol=1e-12)


def test_forward_is_the_identity() -> None:
    x = torch.randn(3, 2)
    assert torch.equal(reverse_gradient(x, 0.3), x)


def test_a_descent_step_raises_the_loss_behind_the_reversal() -> None:
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    loss = reverse_gradient(x, 0.5).square().sum()
    loss.backward()
    assert x.grad is not None
    moved = (x - 0.1 * x.grad).square().sum()
    assert moved > loss


def test_half_precision_keeps_its_dtype() -> None:
    x = torch.ones(2, dtype=torch.bfloat16, requires_grad=True)
    reverse_gradient(x, 0.5).sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == torch.bfloat16
    assert x.grad.tolist() == [-0.5, -0.5]
