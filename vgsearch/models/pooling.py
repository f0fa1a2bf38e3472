"""Generalised mean pooling."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GeM(nn.Module):
    """Generalised mean over the positions of a map, with one learned power (Radenovic et al., TPAMI 2019).

    `(mean(max(x, eps)^p))^(1/p)` for each channel: p = 1 is the mean, p -> infinity the maximum. As in
    CosPlace, negative activations count as `eps`.

    Attributes:
        p: Learned power, shape (1,).
        eps: Lower clamp of the map.
    """

    def __init__(self, p: float = 3.0, eps: float = 1e-6) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.full((1,), float(p)))
        self.eps = eps

    def forward(self, feature_map: Tensor) -> Tensor:
        """Pool a map.

        Args:
            feature_map: Tensor with shape (b, c, h, w), in float32: `x^3` of a half-precision map loses
                everything below the format's resolution.

        Returns:
            Tensor with shape (b, c), at least `eps` everywhere.
        """
        clamped = feature_map.clamp(min=self.eps)
        # Dividing by the maximum changes nothing (the mean is homogeneous, so its gradient needs no part of
        # this either), but eps^p would underflow to 0 from p = 7 on, and the gradient become NaN.
        peak = clamped.detach().amax(dim=(-2, -1), keepdim=True)
        means = (clamped / peak).pow(self.p).mean(dim=(-2, -1))
        return peak.flatten(1) * means.pow(1.0 / self.p)

    def extra_repr(self) -> str:
        """Power and clamp, for `print(network)`."""
        return f"p={self.p.item():.4f}, eps={self.eps}"
