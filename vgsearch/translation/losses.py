"""The losses of ToDayGAN: relativistic least squares at several scales; cycle, identity, codes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from vgsearch.translation.discriminators import Predictions


def adversarial_loss(
    real: Sequence[Predictions], fake: Sequence[Predictions], *, of_discriminator: bool
) -> Tensor:
    """The mean over discriminators of `relativistic_loss`, a scalar."""
    losses = [
        relativistic_loss(r, f, of_discriminator=of_discriminator) for r, f in zip(real, fake, strict=True)
    ]
    return torch.stack(losses).mean()


def relativistic_loss(real: Predictions, fake: Predictions, *, of_discriminator: bool) -> Tensor:
    """Least squares of how much more real than a translation a photo looks (Jolicoeur-Martineau, ICLR 2019).

    A discriminator wants real - fake = 1 everywhere, a generator -1. Scale k of n counts k times, the last
    one once more; the sum is divided by that of these weights, and once more by n, as in the authors' code.

    Args:
        real: n predictions (b, h, w) of photos.
        fake: n predictions of translations, of the same shapes.
        of_discriminator: else the generator's loss, which the photos get no gradient from.

    Returns:
        A scalar, float32.
    """
    wanted = 1.0 if of_discriminator else -1.0
    count = len(real)
    weights = [*range(1, count), count + 1]
    total = torch.zeros((), device=fake[0].device)
    for weight, r, f in zip(weights, real, fake, strict=True):
        r = r.float() if of_discriminator else r.detach().float()
        total = total + weight * ((r - f.float() - wanted) ** 2).mean()
    mean: Tensor = total / (sum(weights) * count)
    return mean


def cycle_loss(there_and_back: Tensor, photos: Tensor) -> Tensor:
    """Smooth L1 (Huber with delta 1) between photos and what came back, a scalar."""
    return functional.smooth_l1_loss(there_and_back.float(), photos.float())


def half_size_loss(result: Tensor, photos: Tensor) -> Tensor:
    """`cycle_loss` of both averaged over 3 x 3 pixels at every other one: of identity and forward losses."""
    return cycle_loss(_half(result.float()), _half(photos.float()))


def code_loss(codes: Tensor, wanted: Tensor) -> Tensor:
    """`cycle_loss` of codes; `wanted` gets no gradient."""
    return cycle_loss(codes, wanted.detach())


def _half(photos: Tensor) -> Tensor:
    return functional.avg_pool2d(photos, 3, stride=2)
