"""One margin-softmax head for CosFace, ArcFace, SphereFace and their combination."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vgsearch.config.losses import ArcFaceConfig, CombinedConfig, CosFaceConfig, LossConfig, SphereFaceConfig
from vgsearch.models.seeding import part_generator


@dataclass(frozen=True)
class Margins:
    """The three margins of ArcFace's Eq. 4, `cos(m1 theta + m2) - m3`.

    Attributes:
        mul: m1 >= 1, factor on the angle (SphereFace).
        rad: m2 in [0, pi), radians added to the angle (ArcFace).
        cos: m3 >= 0, taken from the cosine (CosFace).
        detach: Whether the margin adds no gradient of its own: the target logit has the value above and
            the gradient of `cos(theta)`.
    """

    mul: float = 1.0
    rad: float = 0.0
    cos: float = 0.0
    detach: bool = False

    @classmethod
    def of(cls, loss: LossConfig) -> Margins:
        """Read the margins of a loss; those it does not have are neutral."""
        match loss:
            case CosFaceConfig():
                return cls(cos=loss.margin_cos)
            case ArcFaceConfig():
                return cls(rad=loss.margin_rad, detach=loss.detach_margin)
            case SphereFaceConfig():
                return cls(mul=loss.margin_mul, detach=loss.detach_margin)
            case CombinedConfig():
                return cls(loss.margin_mul, loss.margin_rad, loss.margin_cos, loss.detach_margin)


def apply_margins(cosine: Tensor, margins: Margins) -> Tensor:
    """Target logit before scaling, extended so that it falls with the angle on all of [0, pi].

    The angle is folded once for each pi that `m1 theta` passes: k = floor(m1 theta / pi) and
    v = m1 theta - k pi. With

        a(v) = cos(v + m2)           where v <= pi - m2
        a(v) = cos(v) - m2 sin(m2)   beyond, ArcFace's usual extension, which keeps a gradient

    the result is `a(v) - k (1 + cos(m2) + m2 sin(m2)) - m3`. It is exactly ArcFace's for m1 = 1, exactly
    SphereFace's (-1)^k cos(m1 theta) - 2k for m2 = 0, and `combined` takes what lies between: the fall
    at a fold is what makes `a` meet itself there, so the value is continuous where k changes. It falls
    monotonically for m2 up to 2.33 rad, beyond which cos(m2) + m2 sin(m2) is below 1 and ArcFace's
    extension itself jumps up.

    Args:
        cosine: Cosines in [-1, 1] up to rounding, of any shape, in float32 or float64.
        margins: The three margins.

    Returns:
        Tensor like `cosine`. Its gradient is finite everywhere: within one rounding step of +-1, where the
        angle has no derivative, the angular terms pass none.
    """
    if margins.mul == 1.0 and margins.rad == 0.0:
        return cosine - margins.cos
    edge = 1.0 - torch.finfo(cosine.dtype).eps
    theta = torch.acos(cosine.clamp(-edge, edge))
    turned = margins.mul * theta
    folds = torch.floor(turned.detach() / math.pi)
    rest = turned - folds * math.pi
    within = torch.cos(rest + margins.rad)
    beyond = torch.cos(rest) - margins.rad * math.sin(margins.rad)
    fall = 1.0 + math.cos(margins.rad) + margins.rad * math.sin(margins.rad)
    target = torch.where(rest <= math.pi - margins.rad, within, beyond) - folds * fall - margins.cos
    if margins.detach:
        return cosine + (target - cosine).detach()
    return target


class MarginHead(nn.Module):
    """Cosine classifier over the classes of one group, with a margin on the target class.

    Logits are `scale * target(cos theta_y)` for the label's class (see `apply_margins`) and
    `scale * cos theta_j` for the others; cross-entropy over them is the loss.

    Attributes:
        weight: One prototype a class, shape (c, d); Xavier uniform at first, as in CosPlace.
        scale: Factor on all cosines.
        margins: The three margins.
    """

    def __init__(self, descriptor_dim: int, num_classes: int, loss: LossConfig, *, seed: int) -> None:
        """Draw the prototypes from `seed` alone.

        Args:
            descriptor_dim: Length d of a descriptor.
            num_classes: Number c of classes.
            loss: Margin loss with its scale.
            seed: Seed of the initial prototypes.
        """
        super().__init__()
        self.scale = loss.scale
        self.margins = Margins.of(loss)
        self.weight = nn.Parameter(torch.empty(num_classes, descriptor_dim))
        nn.init.xavier_uniform_(self.weight, generator=part_generator(seed, "margin_head"))

    def forward(self, descriptors: Tensor, labels: Tensor) -> Tensor:
        """Scaled logits for cross-entropy.

        Args:
            descriptors: Tensor with shape (b, d); normalised here, so any norm but 0 will do.
            labels: int64 class indices with shape (b,), in [0, c).

        Returns:
            Logits with shape (b, c) in the weight's dtype (float32), computed in it under autocast too.
        """
        with torch.autocast(descriptors.device.type, enabled=False):
            unit_descriptors = F.normalize(descriptors.to(self.weight.dtype))
            cosines = unit_descriptors @ F.normalize(self.weight).t()
            columns = labels.unsqueeze(1)
            targets = apply_margins(cosines.gather(1, columns), self.margins)
            return self.scale * cosines.scatter(1, columns, targets)

    def extra_repr(self) -> str:
        """Sizes, scale and margins, for `print(head)`."""
        classes, dim = self.weight.shape
        return f"descriptor_dim={dim}, num_classes={classes}, scale={self.scale}, {self.margins}"
