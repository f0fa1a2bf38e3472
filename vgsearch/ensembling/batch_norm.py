"""BatchNorm statistics of averaged weights, taken again over images.

Running means and variances belong to the features that the weights before them make, and the mean of several
networks makes other features than any of them; averaged statistics then fit badly (Jordan et al., REPAIR,
ICLR 2023). Taking them anew costs a forward pass over some images and no gradient (as in stochastic weight
averaging, Izmailov et al., UAI 2018).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from vgsearch.ensembling.averaging import Weights, open_weights
from vgsearch.models.precision import Precision, autocast
from vgsearch.retrieval.extraction import evaluating

_STATISTICS = ("running_mean", "running_var")


def moved_layers(network: nn.Module, models: Sequence[Weights]) -> tuple[str, ...]:
    """Names of the BatchNorm layers whose statistics are not the same in all models.

    Statistics that all share, as those of frozen stages, need no second look: what comes before them is
    shared too. So the mean of one model, or of equal ones, has no such layer.

    Args:
        network: Of the models' architecture; its values do not matter.
        models: At least one.

    Raises:
        CheckpointError: A model cannot be read.
    """
    names = list(_layers(network))
    differ: set[str] = set()
    with open_weights(models[0]) as first:
        for other in models[1:]:
            with open_weights(other) as second:
                for name in names:
                    keys = [f"{name}.{statistic}" for statistic in _STATISTICS]
                    if name not in differ and not all(
                        torch.equal(first.tensor(k), second.tensor(k)) for k in keys
                    ):
                        differ.add(name)
    return tuple(name for name in names if name in differ)


def recalibrate(
    network: nn.Module,
    layers: Sequence[str],
    batches: Iterable[Tensor],
    *,
    device: torch.device,
    precision: Precision,
) -> None:
    """Take the statistics of some BatchNorm layers again: the plain mean over batches (`momentum=None`).

    All else is in eval mode meanwhile and keeps its values, the layers' count of batches too; each module's
    own mode comes back.

    Args:
        network: On `device`; takes what `batches` gives.
        layers: Names, from `moved_layers`.
        batches: uint8 (b, 3, h, w) each, at least one.
        device: Where to compute.
        precision: Number format; statistics are float32 in any case.

    Raises:
        ValueError: There is no batch.
    """
    found = _layers(network)
    chosen = [found[name] for name in layers]
    before = [(layer.momentum, _count(layer).clone()) for layer in chosen]
    num_batches = 0
    try:
        with torch.no_grad(), evaluating(network), autocast(precision, device):
            for layer in chosen:
                layer.reset_running_stats()
                layer.momentum = None
                layer.training = True  # not train(): dropout inside some layers stays off
            for images in batches:
                network(images.to(device, non_blocking=True))
                num_batches += 1
    finally:
        for layer, (momentum, count) in zip(chosen, before, strict=True):
            layer.momentum = momentum
            _count(layer).copy_(count)
    if chosen and not num_batches:
        raise ValueError("statistics need at least one batch of images")


def copy_statistics(network: nn.Module, layers: Sequence[str]) -> dict[str, Tensor]:
    """The statistics of some layers by tensor name, on the CPU."""
    found = _layers(network)
    return {
        f"{name}.{statistic}": getattr(found[name], statistic).detach().cpu().clone()
        for name in layers
        for statistic in _STATISTICS
    }


def put_statistics(network: nn.Module, statistics: Mapping[str, Tensor]) -> None:
    """Write back what `copy_statistics` gave."""
    own = network.state_dict()
    for name, tensor in statistics.items():
        own[name].copy_(tensor)


def _layers(network: nn.Module) -> dict[str, _BatchNorm]:
    """BatchNorm layers that keep statistics, by name."""
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, _BatchNorm) and module.running_mean is not None
    }


def _count(layer: _BatchNorm) -> Tensor:
    assert layer.num_batches_tracked is not None  # comes with the running statistics
    return layer.num_batches_tracked
