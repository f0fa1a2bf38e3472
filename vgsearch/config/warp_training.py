"""Training a GeoWarp network (Berton et al., ICCV 2021): what a user writes. Defaults are the authors'."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from vgsearch.config.combination import CombinationDocument, load_combination
from vgsearch.config.geowarp import GeoWarpConfig
from vgsearch.config.search import DemoCityConfig
from vgsearch.config.strict import Strict


class WarpData(Strict):
    """Training photos, of which a fifth of every class become queries and the others the gallery."""

    train: str = Field(min_length=1, description="folder, relative to the data root")
    positive_distance_m: float = Field(25.0, gt=0)
    cell_m: int = Field(10, ge=1, le=1_000_000, description="side of a class")
    heading_deg: int = Field(30, ge=1, le=360, description="headings of a class; 360 asks for none")
    query_fraction: float = Field(0.2, gt=0, lt=1, description="of every class")
    demo_city: DemoCityConfig | None = None


class WarpPairs(Strict):
    """Which queries and positives the losses see: positives among the nearest of the gallery."""

    neighbours: int = Field(20, ge=1, le=200, description="of a query that are looked at")
    max_squared_distance: float = Field(
        1.2, gt=0, le=4, description="between unit descriptors; farther positives are left out"
    )


class WarpWeights(Strict):
    """Weights of the three losses; at 0 a loss is not computed."""

    self_supervised: float = Field(1.0, ge=0)
    consistency: float = Field(0.1, ge=0)
    features: float = Field(10.0, ge=0)


class WarpTraining(Strict):
    """A whole training."""

    name: str = Field(pattern=r"[A-Za-z0-9._-]{1,128}")
    data: WarpData
    network: GeoWarpConfig = GeoWarpConfig()
    encoder_weights: str = Field("imagenet", min_length=1, description="imagenet, bundled, none or a file")
    height_px: int = Field(480, ge=32, le=8192)
    width_px: int = Field(640, ge=32, le=8192)
    k: float = Field(0.6, ge=0, lt=1, description="how far the sides of the random quadrilaterals move")
    pairs: WarpPairs = WarpPairs()
    weights: WarpWeights = WarpWeights()
    batch_size: int = Field(16, ge=2, description="photos, and pairs, of an iteration")
    epochs: int = Field(100, ge=1)
    iterations_per_epoch: int = Field(500, ge=1)
    lr: float = Field(1.0e-4, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(1.0e-3, ge=0)
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="of the encoder")
    seed: int = Field(0, ge=0, lt=2**31)

    @property
    def uses_pairs(self) -> bool:
        """Whether any loss looks at queries and positives."""
        return self.weights.consistency > 0 or self.weights.features > 0


def load_warp_training(path: Path, overrides: Sequence[str] = ()) -> CombinationDocument[WarpTraining]:
    """Read and check a file.

    Raises:
        ConfigError: With every problem of the file and the overrides, each with its line.
    """
    return load_combination(path, WarpTraining, overrides)
