"""What makes two networks mergeable, and what makes two sets of weights the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import torch
from torch import Tensor

from vgsearch.config.trial import TrialConfig
from vgsearch.models.network import DescriptorNetwork
from vgsearch.models.outside_weights import backbone_in_words

COMPILE_PREFIX = "_orig_mod."


def architecture_hash(network: DescriptorNetwork, trial: TrialConfig) -> str:
    """Hash of everything that decides what a network computes, apart from the values of its tensors.

    It covers the sorted (name, shape, dtype) of all tensors, the backbone's name, pooling, input
    normalisation and forward options (`bn_eps` where the trial sets it): timm's `efficientnet_lite0` and
    `tf_efficientnet_lite0` have the same tensors but pad differently. Two checkpoints with the same hash can
    be averaged.

    Args:
        network: The network, not wrapped by `torch.compile`.
        trial: The trial it was built for.

    Returns:
        64 hexadecimal digits.

    Raises:
        ValueError: A tensor name carries the prefix of `torch.compile`.
    """
    state = network.state_dict()
    require_uncompiled(state)
    backbone = network.backbone
    forward: dict[str, object] = {
        "map": "l2",
        "descriptor": "l2",
        "side_multiple_px": backbone.side_multiple_px,
    }
    if trial.resolved_backbone.bn_eps is not None:
        forward["bn_eps"] = trial.resolved_backbone.bn_eps
    content = {
        "tensors": [[name, list(t.shape), str(t.dtype)] for name, t in sorted(state.items())],
        "backbone": trial.resolved_backbone.name,
        "pooling": {"name": trial.pooling.name, "eps": network.pooling.eps},
        "normalisation": {"mean": list(backbone.mean), "std": list(backbone.std)},
        "forward": forward,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def describe_architecture(trial: TrialConfig) -> str:
    """The architecture in words, as `resnet18.tv_in1k + gem + 512`."""
    return f"{backbone_in_words(trial.resolved_backbone)} + {trial.pooling.name} + {trial.descriptor_dim}"


def weights_hash(state_dict: Mapping[str, Tensor]) -> str:
    """Hash of tensors in sorted name order, equal on every device and in every memory format.

    Args:
        state_dict: Tensors by name.

    Returns:
        SHA-256 as 64 hexadecimal digits, over each tensor's name, dtype, shape and values.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(state_dict.items()):
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        values = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(values.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def require_uncompiled(state_dict: Mapping[str, Tensor]) -> None:
    """Raise ValueError if a name comes from the wrapper of `torch.compile`: it would fit no other network."""
    wrapped = [name for name in state_dict if COMPILE_PREFIX in name]
    if wrapped:
        raise ValueError(
            f"tensor names must be the network's own, but got {wrapped[0]!r}; compile with "
            "`network.compile()` or pass the network that was wrapped"
        )
