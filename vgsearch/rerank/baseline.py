"""The encoder as a descriptor network: what the authors retrieve with before they re-rank."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vgsearch.models.netvlad import NetVLAD
from vgsearch.models.pooling import GeM
from vgsearch.rerank.network import GeoWarpNetwork

BaselinePooling = GeM | NetVLAD


class PooledEncoder(nn.Module):
    """GeM or NetVLAD over the encoder's L2-normalised map, L2-normalised again."""

    def __init__(self, network: GeoWarpNetwork, pooling: BaselinePooling | None = None) -> None:
        """Share the encoder of `network`; None pools by GeM with power 3."""
        super().__init__()
        self.network = network
        self.pooling = GeM() if pooling is None else pooling

    def forward(self, images: Tensor) -> Tensor:
        """Describe images: (b, 3, h, w), uint8 or floating in [0, 1] -> float32 (b, d) of norm 1.

        With c channels d is c for GeM, and c for each cluster for NetVLAD.
        """
        feature_map = self.network.encoder(self.network.normalise(images))
        with torch.autocast(images.device.type, enabled=False):
            return F.normalize(self.pooling(F.normalize(feature_map.float(), dim=1)), dim=1)
