"""The three losses of GeoWarp (Berton et al., ICCV 2021, section 3.3); each is a mean of squares."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def self_supervised_loss(there: Tensor, back: Tensor, in_first: Tensor, in_second: Tensor) -> Tensor:
    """How far the regression is from what two views of one photo are known to share.

    Args:
        there: Found from the first view to the second, float32 (b, 8, 2).
        back: Found from the second to the first.
        in_first: The common part in the first view, float32 (b, 4, 2).
        in_second: In the second.

    Returns:
        The sum of the four mean squared errors.
    """
    known = torch.cat([in_first, in_second], dim=1), torch.cat([in_second, in_first], dim=1)
    # Both halves of a prediction have as many numbers, so a mean over both is half the sum of their means.
    return 2 * (F.mse_loss(there, known[0]) + F.mse_loss(back, known[1]))


def consistency_loss(there: Tensor, back: Tensor, flipped_there: Tensor, flipped_back: Tensor) -> Tensor:
    """How far four predictions of one pair are from their mean: both directions, mirrored and not.

    Args:
        there: Found from query to positive, float32 (b, 8, 2).
        back: Found from positive to query.
        flipped_there: Found from the mirrored query to the mirrored positive.
        flipped_back: Found from the mirrored positive to the mirrored query.

    Returns:
        The sum of the four mean squared distances; the mean itself gets no gradient.
    """
    found = torch.stack([swapped(there), back, mirrored(swapped(flipped_there)), mirrored(flipped_back)])
    centre = found.mean(dim=0, keepdim=True).detach()
    return (found - centre).square().mean(dim=(1, 2, 3)).sum()


def features_loss(query: Tensor, positive: Tensor) -> Tensor:
    """How unlike the local features of two warped photos are; float32 (b, c, 15, 15) each."""
    return F.mse_loss(query, positive)


def swapped(corners: Tensor) -> Tensor:
    """The second photo's quadrilateral before the first one's, (b, 8, 2)."""
    return torch.cat([corners[:, 4:], corners[:, :4]], dim=1)


def mirrored(corners: Tensor) -> Tensor:
    """Quadrilaterals of mirrored photos as they lie in the photos themselves, (b, 8, 2).

    Left corners become right ones, so their places in the list change too.
    """
    order = torch.tensor([1, 0, 3, 2, 5, 4, 7, 6], device=corners.device)
    return corners[:, order] * torch.tensor([-1.0, 1.0], device=corners.device)
