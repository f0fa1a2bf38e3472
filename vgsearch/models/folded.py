"""BatchNorm as part of the convolution before it: the same function in fewer passes over memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from timm.layers.norm_act import BatchNormAct2d, SyncBatchNormAct
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.hooks import RemovableHandle

from vgsearch.models.synced_batch_norm import SyncedBatchNorm

Pairs = Sequence[tuple[str, str]]
"""Names of a convolution and of the BatchNorm that alone reads it."""

_EXAMPLE_PX = 128
_FOLDABLE = (nn.BatchNorm2d, BatchNormAct2d, nn.SyncBatchNorm, SyncBatchNormAct, SyncedBatchNorm)


def example_photo(device: torch.device) -> Tensor:
    """A small normalised photo to ask a backbone with, float32 (1, 3, 128, 128); the same every time."""
    return torch.linspace(-2.0, 2.0, 3 * _EXAMPLE_PX**2, device=device).reshape(
        1, 3, _EXAMPLE_PX, _EXAMPLE_PX
    )


def foldable_pairs(network: nn.Module, example: Tensor) -> list[tuple[str, str]]:
    """Find the convolutions whose output goes into one BatchNorm and nowhere else.

    Which layer reads which is asked of autograd's graph of one pass; no weight changes.

    Args:
        network: In eval mode.
        example: Floating, as small as the network takes it.

    Returns:
        In the order in which they run; each module ran once.
    """
    makers: dict[Any, str] = {}
    runs: Counter[str] = Counter()
    pairs: list[tuple[Any, str, str]] = []

    def after(name: str) -> Callable[..., None]:
        def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            runs[name] += 1
            if output.grad_fn is not None:
                makers[output.grad_fn] = name

        return note

    def before(name: str) -> Callable[..., None]:
        def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            runs[name] += 1
            node = inputs[0].grad_fn
            if node in makers:
                pairs.append((node, makers[node], name))

        return note

    # A layer that has two names would have to be replaced at both.
    names = Counter(id(module) for _, module in network.named_modules(remove_duplicate=False))
    handles: list[RemovableHandle] = []
    for name, module in network.named_modules():
        if names[id(module)] > 1:
            continue
        if isinstance(module, nn.Conv2d):
            handles.append(module.register_forward_hook(after(name)))
        elif _is_foldable(module):
            handles.append(module.register_forward_pre_hook(before(name)))
    try:
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.autocast(example.device.type, enabled=False),
        ):
            output: Tensor = network(example.clone().requires_grad_())
    finally:
        for handle in handles:
            handle.remove()
    readers = _readers(output.grad_fn)
    return [
        (convolution, norm)
        for node, convolution, norm in pairs
        if readers[node] == runs[convolution] == runs[norm] == 1
    ]


@contextmanager
def folded(network: nn.Module, pairs: Pairs, dtype: torch.dtype = torch.float32) -> Iterator[None]:
    """Inside, the BatchNorm layers of `pairs` are part of their convolutions; outside, all is as it was.

    In eval mode BatchNorm is an affine map of each channel, and so is what a convolution does last:
    w' = w g / sqrt(v + eps) and b' = (b - m) g / sqrt(v + eps) + beta.

    Args:
        network: In eval mode, and only for inference meanwhile.
        pairs: From `foldable_pairs`; those that are no such layers any more are left.
        dtype: Of the folded weights: autocast's, which then has nothing to convert.
    """
    with ExitStack() as stack:
        for convolution_name, norm_name in pairs:
            convolution, norm = network.get_submodule(convolution_name), network.get_submodule(norm_name)
            if isinstance(convolution, nn.Conv2d) and _is_foldable(norm):
                stack.enter_context(_folded_pair(network, convolution, norm_name, norm, dtype))
        yield


@contextmanager
def _folded_pair(
    network: nn.Module, convolution: nn.Conv2d, norm_name: str, norm: nn.Module, dtype: torch.dtype
) -> Iterator[None]:
    assert isinstance(norm, _BatchNorm)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    with torch.no_grad():
        scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        bias = torch.zeros_like(scale) if convolution.bias is None else convolution.bias.double()
        weight = convolution.weight * scale.to(convolution.weight.dtype).reshape(-1, 1, 1, 1)
        shift = (bias - norm.running_mean) * scale + norm.bias
    own = {name: convolution._parameters[name] for name in ("weight", "bias")}
    # Only inside is the activation, which timm's layers carry, all that is left of the BatchNorm.
    rest = [part for part in (getattr(norm, "drop", None), getattr(norm, "act", None)) if part is not None]
    try:
        convolution._parameters.update(
            weight=nn.Parameter(weight.to(dtype), requires_grad=False),
            bias=nn.Parameter(shift.to(dtype), requires_grad=False),
        )
        network.set_submodule(norm_name, nn.Sequential(*rest))
        yield
    finally:
        network.set_submodule(norm_name, norm)
        convolution._parameters.update(own)


def _is_foldable(module: nn.Module) -> bool:
    return (
        type(module) in _FOLDABLE
        and isinstance(module, _BatchNorm)
        and module.running_mean is not None
        and module.affine
    )


def _readers(root: Any) -> Counter[Any]:
    """How many operations read the result of each node of autograd's graph, from its last node on."""
    readers: Counter[Any] = Counter()
    seen, waiting = {root}, [root]
    while waiting:
        node = waiting.pop()
        for child, _ in node.next_functions:
            if child is None:
                continue
            readers[child] += 1
            if child not in seen:
                seen.add(child)
                waiting.append(child)
    return readers
