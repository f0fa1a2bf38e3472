"""Gradient reversal (Ganin & Lempitsky, ICML 2015)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _ReverseGradient(torch.autograd.Function):
    """Identity forward, `-alpha` times the gradient backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, alpha: Tensor) -> Tensor:  # noqa: D102
        ctx.save_for_backward(alpha)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:  # noqa: D102
        (alpha,) = ctx.saved_tensors
        (grad_output,) = grad_outputs
        return grad_output * -alpha.to(grad_output.dtype), None


def reverse_gradient(x: Tensor, alpha: float | Tensor) -> Tensor:
    """Return `x` unchanged; in the backward pass multiply the gradient by `-alpha`.

    Args:
        x: Tensor of any shape.
        alpha: Factor >= 0; 0 cuts the gradient. A 0-dim tensor lets a compiled network change alpha
            without compiling again.

    Returns:
        Tensor equal to `x`, of the same shape and dtype.
    """
    if not isinstance(alpha, Tensor):
        alpha = torch.tensor(float(alpha), device=x.device)
    reversed_: Tensor = _ReverseGradient.apply(x, alpha)
    return reversed_
