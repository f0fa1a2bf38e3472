"""Several descriptor networks that answer as one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vgsearch.models.view_mean import mean_of_views

Fusion = Literal["mean", "concat", "similarity"]

WEIGHT_SUM_TOLERANCE = 1e-6


class EnsembleNetwork(nn.Module):
    """Descriptors of several networks fused into one of norm 1.

    `similarity` joins the members' descriptors end to end, each times the root of its weight, so that the
    inner product of two fused descriptors is the weighted sum of the members' cosine similarities. `concat`
    is the same with equal weights. `mean` is the weighted mean of descriptors of one length, normalised
    again: without that, queries on which the members disagree would be short.

    The members are registered modules, so that `eval()`, `to()` and `state_dict()` reach all of them.

    Attributes:
        members: The networks.
        fusion: How their descriptors become one.
        weights: One for each member, positive, with sum 1.
        descriptor_dim: Length d of a fused descriptor; None where a member does not tell its own length.
    """

    def __init__(self, members: Sequence[nn.Module], fusion: Fusion, weights: Sequence[float]) -> None:
        """Join networks.

        Args:
            members: Each maps uint8 (b, 3, h, w) to float32 (b, d_i) of norm 1; at least one.
            fusion: `mean` needs equal d_i.
            weights: Positive and finite; scaled to sum 1.

        Raises:
            ValueError: Weights that are not one positive number for each member, unequal weights with
                `concat`, or known unequal lengths with `mean`.
        """
        super().__init__()
        self.members = nn.ModuleList(members)
        self.fusion = fusion
        self.weights = normalised_weights(weights, len(members))
        if fusion == "concat" and max(self.weights) - min(self.weights) > WEIGHT_SUM_TOLERANCE:
            raise ValueError(f"concat takes equal weights, got {self.weights}; similarity takes others")
        lengths = [getattr(member, "descriptor_dim", None) for member in members]
        self.descriptor_dim: int | None = fused_length(lengths, fusion)

    def forward(self, images: Tensor, num_views: int = 1) -> Tensor:
        """Describe images.

        Args:
            images: Tensor with shape (b * num_views, 3, h, w): uint8, or floating in [0, 1].
            num_views: Views of one photo, which stand together: each member takes the mean of its descriptors
                of them, as it would alone, before these are fused.

        Returns:
            float32 tensor with shape (b, d) and L2 norm 1.

        Raises:
            ValueError: `mean` over descriptors of different lengths.
        """
        described = [mean_of_views(member(images), num_views) for member in self.members]
        return fuse(described, self.fusion, self.weights)


def fuse(descriptors: Sequence[Tensor], fusion: Fusion, weights: Sequence[float]) -> Tensor:
    """Fuse the descriptors of the same images.

    Args:
        descriptors: One float tensor with shape (b, d_i) and L2 norm 1 for each member.
        fusion: See `EnsembleNetwork`.
        weights: One for each member, positive, with sum 1.

    Returns:
        float32 tensor with shape (b, d) and L2 norm 1.

    Raises:
        ValueError: `mean` over descriptors of different lengths.
    """
    device_type = descriptors[0].device.type
    with torch.autocast(device_type, enabled=False):
        floats = [descriptor.float() for descriptor in descriptors]
        if fusion != "mean":
            pairs = zip(floats, weights, strict=True)
            return torch.cat([math.sqrt(weight) * descriptor for descriptor, weight in pairs], dim=1)
        fused_length([descriptor.shape[1] for descriptor in floats], fusion)
        total = weights[0] * floats[0]
        for descriptor, weight in zip(floats[1:], weights[1:], strict=True):
            total = total + weight * descriptor
        return F.normalize(total, dim=1)


def normalised_weights(weights: Sequence[float], num_members: int) -> tuple[float, ...]:
    """Scale weights to sum 1.

    Raises:
        ValueError: Not one positive finite number for each of `num_members` >= 1 members.
    """
    if num_members < 1 or len(weights) != num_members:
        raise ValueError(f"one weight for each member is needed, got {len(weights)} for {num_members}")
    if not all(math.isfinite(weight) and weight > 0 for weight in weights):
        raise ValueError(f"weights must be positive and finite, got {list(weights)}")
    total = math.fsum(weights)
    return tuple(float(weight / total) for weight in weights)


def fused_length(lengths: Sequence[int | None], fusion: Fusion) -> int | None:
    """Length of a fused descriptor; None where a member's is unknown.

    Raises:
        ValueError: `mean` over different lengths.
    """
    known = [length for length in lengths if length is not None]
    if fusion == "mean":
        if len(set(known)) > 1:
            raise ValueError(
                f"mean needs descriptors of one length, got {sorted(set(known))}; use similarity or concat"
            )
        return known[0] if known else None
    return sum(known) if len(known) == len(lengths) else None
