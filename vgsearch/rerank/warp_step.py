"""One iteration of a GeoWarp training."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vgsearch.config.warp_training import WarpWeights
from vgsearch.models.precision import Precision, autocast
from vgsearch.rerank.homography import homography_to, warp_images
from vgsearch.rerank.losses import consistency_loss, features_loss, self_supervised_loss
from vgsearch.rerank.network import GeoWarpNetwork
from vgsearch.rerank.quadrilaterals import two_views
from vgsearch.rerank.regression import correlate, mean_quadrilaterals

LOSSES = ("self_supervised", "consistency", "features")


@dataclass(frozen=True)
class WarpStep:
    """The gradients of all losses; the encoder computes in `precision`, everything else in float32.

    Attributes:
        network: In training mode.
        weights: Of the losses.
        precision: Of the encoder.
    """

    network: GeoWarpNetwork
    weights: WarpWeights
    precision: Precision

    def backward(self, views: Tensor, trapezoids: Tensor, pairs: tuple[Tensor, Tensor] | None) -> Tensor:
        """Add up the gradients of one batch, loss after loss, so that one graph is in memory at a time.

        Args:
            views: Photos that are warped, uint8 (b, 3, h, w), on the network's device.
            trapezoids: Two for each of them, float32 (b, 2, 4, 2).
            pairs: Queries and positives, uint8 (b, 3, h, w) each, where a loss uses them.

        Returns:
            The weighted losses in the order of `LOSSES`, float32 (3,), without a graph.
        """
        values = torch.zeros(len(LOSSES), device=views.device)
        if self.weights.self_supervised > 0:
            values[0] = self._back(self._self_supervised(views, trapezoids), self.weights.self_supervised)
        if pairs is not None:
            query, positive = (self.network.normalise(each) for each in pairs)
            if self.weights.consistency > 0:
                values[1] = self._back(self._consistency(query, positive), self.weights.consistency)
            if self.weights.features > 0:
                values[2] = self._back(self._features(query, positive), self.weights.features)
        return values

    def _back(self, loss: Tensor, weight: float) -> Tensor:
        weighted = weight * loss
        weighted.backward()  # type: ignore[no-untyped-call]
        return weighted.detach()

    def _self_supervised(self, views: Tensor, trapezoids: Tensor) -> Tensor:
        images = self.network.normalise(views)
        first, second, in_first, in_second = two_views(trapezoids)
        with torch.no_grad():
            there, back = self._correlations(warp_images(images, first), warp_images(images, second))
        regression = self.network.regression
        return self_supervised_loss(regression(there), regression(back), in_first, in_second)

    def _consistency(self, query: Tensor, positive: Tensor) -> Tensor:
        with torch.no_grad():
            seen = [
                *self._correlations(query, positive),
                *self._correlations(query.flip(-1), positive.flip(-1)),
            ]
        there, back, flipped_there, flipped_back = (self.network.regression(each) for each in seen)
        return consistency_loss(there, back, flipped_there, flipped_back)

    def _features(self, query: Tensor, positive: Tensor) -> Tensor:
        with torch.no_grad():
            there, back = self._correlations(query, positive)
        corners = mean_quadrilaterals(self.network.regression(there), self.network.regression(back))
        warped = [
            warp_images(images, homography_to(each))
            for images, each in zip((query, positive), corners, strict=True)
        ]
        return features_loss(*self._features_of(torch.cat(warped)).chunk(2))

    def _correlations(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        return correlate(*self._features_of(torch.cat([first, second])).chunk(2))

    def _features_of(self, images: Tensor) -> Tensor:
        with autocast(self.precision, images.device):
            return self.network.local_features(images)
