"""The network of GeoWarp (Berton et al., Viewpoint Invariant Dense Matching, ICCV 2021)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vgsearch.config.geowarp import GRID, GeoWarpConfig
from vgsearch.models.folded import example_photo, foldable_pairs, folded
from vgsearch.models.seeding import seeded_cpu_draws
from vgsearch.rerank.encoder import Encoder, build_encoder
from vgsearch.rerank.homography import homography_to, warp_images
from vgsearch.rerank.regression import (
    POSITIONS,
    HomographyRegression,
    correlate,
    l2_normalise,
    mean_quadrilaterals,
)

NO_MAP = -1.0
"""Similarity of a pair whose quadrilaterals no homography reaches: the least that there is."""


class GeoWarpNetwork(nn.Module):
    """A frozen encoder and a regression that finds what two photos have in common.

    Attributes:
        encoder: Normalised images to feature map; never trained, always in eval mode.
        regression: Correlations to quadrilaterals.
        config: What both were built from.
    """

    input_scale: Tensor
    input_shift: Tensor

    def __init__(self, encoder: Encoder, regression: HomographyRegression, config: GeoWarpConfig) -> None:
        super().__init__()
        self.encoder = encoder.requires_grad_(False)
        self.regression = regression
        self.config = config
        mean = torch.tensor(encoder.mean, dtype=torch.float64).reshape(1, 3, 1, 1)
        std = torch.tensor(encoder.std, dtype=torch.float64).reshape(1, 3, 1, 1)
        self.register_buffer("input_scale", (1.0 / std).float(), persistent=False)
        self.register_buffer("input_shift", (-mean / std).float(), persistent=False)
        self.train()

    def train(self, mode: bool = True) -> GeoWarpNetwork:
        """Set the training mode of the regression."""
        super().train(mode)
        self.encoder.eval()
        return self

    def normalise(self, images: Tensor) -> Tensor:
        """Shift and scale images by the encoder's mean and standard deviation.

        Args:
            images: (b, 3, h, w), uint8 or floating in [0, 1].

        Returns:
            float32 of the same shape, channels last in memory.
        """
        scale = self.input_scale if images.is_floating_point() else self.input_scale / 255.0
        floats = images.contiguous(memory_format=torch.channels_last).float()
        normalised = torch.addcmul(self.input_shift, floats, scale)
        return normalised.contiguous(memory_format=torch.channels_last)

    def local_features(self, images: Tensor) -> Tensor:
        """Describe images at 15 x 15 positions.

        Args:
            images: Normalised, float32 (b, 3, h, w).

        Returns:
            float32 (b, c, 15, 15), norm 1 over channels (up to 1e-6 in the squared norm).
        """
        feature_map = self.encoder(images)
        with torch.autocast(images.device.type, enabled=False):
            return l2_normalise(F.adaptive_avg_pool2d(feature_map.float(), GRID))

    def quadrilaterals(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Find what two photos have in common, from their local features.

        Args:
            first: float32 (b, c, 15, 15).
            second: Likewise.

        Returns:
            float32 (b, 4, 2) in the first photo, and in the second.
        """
        # Where the pair is warped to decides all that follows, and costs little beside photos of usual size.
        with torch.autocast(first.device.type, enabled=False):
            there, back = correlate(first, second)
            return mean_quadrilaterals(self.regression(there), self.regression(back))

    def similarity(
        self, first: Tensor, second: Tensor, *, first_features: Tensor, second_features: Tensor
    ) -> Tensor:
        """Warp both photos of each pair to what they have in common, and compare them there.

        Args:
            first: Normalised photos, float32 (b, 3, h, w).
            second: The others, float32 (b, 3, h', w').
            first_features: `local_features(first)`, which a caller with many pairs keeps.
            second_features: `local_features(second)`.

        Returns:
            float32 (b,): the mean cosine of the 225 positions, at most 1; `NO_MAP` where a quadrilateral has
            no area that a homography could fill.
        """
        corners = self.quadrilaterals(first_features, second_features)
        maps = [homography_to(each) for each in corners]
        warped = [warp_images(images, each) for images, each in zip((first, second), maps, strict=True)]
        if first.shape == second.shape:
            one, other = self.local_features(torch.cat(warped)).chunk(2)
        else:
            one, other = (self.local_features(images) for images in warped)
        cosines = (one * other).sum(dim=(1, 2, 3)) / POSITIONS
        known, reached = (
            torch.stack([each.isfinite().flatten(1).all(dim=1) for each in both]).all(dim=0)
            for both in (corners, maps)
        )
        # A network that diverged is no pair without a map: its NaN stays one.
        return torch.where(reached, cosines, torch.where(known, NO_MAP, torch.nan))

    def dissimilarity(self, first: Tensor, second: Tensor) -> Tensor:
        """How unlike two photos are where both see the same: 1 - `similarity`.

        Args:
            first: (b, 3, h, w), uint8 or floating in [0, 1].
            second: (b, 3, h', w') likewise.

        Returns:
            float32 (b,) in [0, 2].
        """
        first, second = self.normalise(first), self.normalise(second)
        similarity = self.similarity(
            first,
            second,
            first_features=self.local_features(first),
            second_features=self.local_features(second),
        )
        return 1.0 - similarity


@contextmanager
def scoring(network: GeoWarpNetwork) -> Iterator[None]:
    """Inside, a network only infers: in eval mode, with BatchNorm folded into the convolutions.

    It computes the same up to rounding, in fewer passes over memory.
    """
    was_training = network.training
    network.eval()
    device = network.input_scale.device
    correlation = torch.linspace(0.0, 1.0, POSITIONS**2, device=device)
    of_encoder = foldable_pairs(network.encoder, example_photo(device))
    convolutions = network.regression.conv
    of_regression = foldable_pairs(convolutions, correlation.reshape(1, POSITIONS, GRID, GRID))
    try:
        with folded(network.encoder, of_encoder), folded(convolutions, of_regression):
            yield
    finally:
        network.train(was_training)


def build_geowarp(config: GeoWarpConfig, *, encoder_weights: str = "none", seed: int = 0) -> GeoWarpNetwork:
    """Build the network on the CPU, in training mode and channels-last memory format.

    Args:
        config: What to build.
        encoder_weights: `imagenet`, `none`, a file, or for timm's EfficientNet-Lite0 `bundled`.
        seed: Of all random weights; nobody's random state moves.

    Raises:
        ConfigError: There is no such encoder.
        WeightsError: Its weights cannot be had or do not fit.
    """
    encoder = build_encoder(config, weights=encoder_weights, seed=seed)
    with seeded_cpu_draws(seed, "homography regression"):
        regression = HomographyRegression(config)
    return GeoWarpNetwork(encoder, regression, config).to(memory_format=torch.channels_last)
