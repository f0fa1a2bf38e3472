"""One small forward and backward pass that shows which parts of a backbone make its map, and when."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class ForwardTrace:
    """What a traced pass saw.

    Attributes:
        output: The detached result of `forward_features`, of whatever shape the backbone gives.
        entered: Tick at which each module (by name) first began.
        left: Tick at which each module last ended.
        unused: Names of the parameters that the output does not depend on.
    """

    output: object
    entered: dict[str, int]
    left: dict[str, int]
    unused: frozenset[str]

    def tick_of_parameter(self, name: str) -> int:
        """When the module that owns a parameter began; -1 for a parameter of the backbone itself."""
        owner = name
        while "." in owner:
            owner = owner.rpartition(".")[0]
            if owner in self.entered:
                return self.entered[owner]
        return -1


def trace_forward(model: nn.Module, images: Tensor) -> ForwardTrace:
    """Run `model.forward_features(images)` in eval mode and watch.

    Args:
        model: A timm model all of whose parameters require gradients.
        images: Tensor with shape (b, 3, h, w).

    Returns:
        The trace; parameters, buffers, gradients and the training mode are as before.
    """
    ticks = itertools.count()
    entered: dict[str, int] = {}
    left: dict[str, int] = {}

    def on_entry(name: str) -> Callable[..., None]:
        def note(*_: object) -> None:
            entered.setdefault(name, next(ticks))

        return note

    def on_exit(name: str) -> Callable[..., None]:
        def note(*_: object) -> None:
            left[name] = next(ticks)

        return note

    hooks = []
    for name, module in model.named_modules():
        if name:
            hooks.append(module.register_forward_pre_hook(on_entry(name)))
            hooks.append(module.register_forward_hook(on_exit(name)))
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode(False), torch.enable_grad():
            output = model.forward_features(images)  # type: ignore[operator]
            names, parameters = zip(*model.named_parameters(), strict=True)
            unused = frozenset[str]()
            if isinstance(output, Tensor):
                gradients = torch.autograd.grad(output.float().sum(), parameters, allow_unused=True)
                unused = frozenset(n for n, g in zip(names, gradients, strict=True) if g is None)
                output = output.detach()
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    return ForwardTrace(output, entered, left, unused)
