"""The encoder as a descriptor network: what the authors retrieve with before they re-rank."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vgsearch.models.pooling import GeM
from vgsearch.rerank.network import GeoWarpNetwork


class PooledEncoder(nn.Module):
    """GeM over the encoder's L2-normalised map, L2-normalised again."""

    def __init__(self, network: GeoWarpNetwork, power: float = 3.0) -> None:
        """Share the encoder of `network`."""
        super().__init__()
        self.network = network
        self.pooling = GeM(power)

    def forward(self, images: Tensor) -> Tensor:
        """Describe images: (b, 3, h, w), uint8 or floating in [0, 1] -> float32 (b, c) of norm 1."""
        feature_map = self.network.encoder(self.network.normalise(images))
        with torch.autocast(images.device.type, enabled=False):
            return F.normalize(self.pooling(F.normalize(feature_map.float(), dim=1)), dim=1)
