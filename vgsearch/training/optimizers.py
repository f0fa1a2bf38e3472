"""Adam as every part of a trial uses it, and moving its state between devices and memory layouts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch


def build_adam(parameters: Iterable[torch.nn.Parameter], lr: float) -> torch.optim.Adam:
    """Adam with PyTorch's defaults, in its fused form.

    The fused form makes one pass over memory where the plain one makes about ten: 3 to 4 times as fast on a
    CPU too.

    Args:
        parameters: floating parameters.
        lr: learning rate, above 0.
    """
    return torch.optim.Adam(parameters, lr=lr, fused=True)


def move_optimizer(optimizer: torch.optim.Optimizer, device: torch.device) -> None:
    """Move every state tensor of `optimizer` to `device`; its parameters are moved by their module."""
    for state in optimizer.state.values():
        for key, value in state.items():
            if isinstance(value, torch.Tensor):
                state[key] = value.to(device)


def load_optimizer(optimizer: torch.optim.Optimizer, state_dict: dict[str, Any]) -> None:
    """Restore `optimizer`, with every moment in the memory layout of its parameter.

    The fused CPU kernel walks parameter, gradient and moments as flat memory without comparing their strides:
    a moment saved as channels_last beside a contiguous parameter would be applied to the wrong weights, in
    silence.
    """
    optimizer.load_state_dict(state_dict)
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                state[key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
