"""BatchNorm as part of the convolution before it: the same function in fewer passes over memory."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

_TOLERANCE = 1e-9

Network = TypeVar("Network", bound=nn.Module)


def fold_batch_norm(network: Network, example: Tensor) -> Network:
    """Copy a network that only infers, with BatchNorm folded into the convolutions whose output it reads.

    In eval mode BatchNorm is an affine map of each channel, and so is what a convolution does last:
    w' = w g / sqrt(v + eps) and b' = (b - m) g / sqrt(v + eps) + beta, computed in float64.

    Args:
        network: Left as it is.
        example: Something that it takes, as small as it may be; it shows which layer reads which.

    Returns:
        The copy, in eval mode. It agrees with `network` up to rounding; should it not on `example`, because
        something beside BatchNorm reads a convolution, it is a plain copy.
    """
    plain = copy.deepcopy(network).eval()
    with torch.inference_mode(), torch.autocast(example.device.type, enabled=False):
        # In float64 nothing but another function can make a difference, however a network magnifies rounding.
        exact = copy.deepcopy(plain).double()
        expected, pairs = _watch(exact, example.double())
        _fold(exact, pairs)
        difference = (exact(example.double()) - expected).abs().max()
    if difference > _TOLERANCE * expected.abs().max():
        return plain
    _fold(plain, pairs)
    return plain


def _watch(network: nn.Module, example: Tensor) -> tuple[Tensor, list[tuple[str, str]]]:
    """The output, and the names of a convolution and a BatchNorm that reads it, where each ran once."""
    makers: dict[int, str] = {}
    kept: list[Tensor] = []  # an output that lives on keeps its id to itself
    runs: Counter[str] = Counter()
    pairs: list[tuple[str, str]] = []

    def after(name: str) -> Callable[..., None]:
        def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            runs[name] += 1
            makers[id(output)] = name
            kept.append(output)

        return note

    def before(name: str) -> Callable[..., None]:
        def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            runs[name] += 1
            if id(inputs[0]) in makers:
                pairs.append((makers[id(inputs[0])], name))

        return note

    handles: list[RemovableHandle] = []
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            handles.append(module.register_forward_hook(after(name)))
        elif _is_foldable(module):
            handles.append(module.register_forward_pre_hook(before(name)))
    try:
        output: Tensor = network(example)
    finally:
        for handle in handles:
            handle.remove()
    readers = Counter(convolution for convolution, _ in pairs)
    once = [pair for pair in pairs if runs[pair[0]] == runs[pair[1]] == readers[pair[0]] == 1]
    return output, once


def _is_foldable(module: nn.Module) -> bool:
    return (
        type(module) in (nn.BatchNorm2d, BatchNormAct2d)
        and isinstance(module, nn.BatchNorm2d)
        and module.running_mean is not None
        and module.affine
    )


def _fold(network: nn.Module, pairs: Sequence[tuple[str, str]]) -> None:
    """Change `network` itself."""
    for convolution_name, norm_name in pairs:
        convolution, norm = network.get_submodule(convolution_name), network.get_submodule(norm_name)
        assert isinstance(convolution, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        bias = torch.zeros_like(scale) if convolution.bias is None else convolution.bias.double()
        weight = convolution.weight.double() * scale.reshape(-1, 1, 1, 1)
        shift = (bias - norm.running_mean.double()) * scale + norm.bias.double()
        convolution.weight = nn.Parameter(weight.to(convolution.weight.dtype), requires_grad=False)
        convolution.bias = nn.Parameter(shift.to(convolution.weight.dtype), requires_grad=False)
        # timm's BatchNorm has the activation in it.
        rest = nn.Sequential(norm.drop, norm.act) if isinstance(norm, BatchNormAct2d) else nn.Identity()
        parent, _, own = norm_name.rpartition(".")
        setattr(network.get_submodule(parent), own, rest)
