"""The GeoWarp network, as its checkpoint describes it (Berton et al., ICCV 2021)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from vgsearch.config.strict import Strict

GRID = 15
"""Both photos are described at 15 x 15 positions."""

TORCHVISION_ENCODERS = ("alexnet", "vgg16", "resnet50")
TIMM_PREFIX = "timm/"

PoolingName = Literal["gem", "netvlad"]


class GeoWarpConfig(Strict):
    """Encoder and regression. The defaults of the regression are the authors'.

    `encoder` is one of theirs (torchvision's `alexnet` and `vgg16` before the last ReLU and pooling, its
    `resnet50` up to conv4), or `timm/NAME` for any timm backbone. Of that, `level` picks the map: null is its
    last one, -2 the last but one, and so on. `pooling` is what the retrieval baseline puts on the encoder; it
    tells encoders apart, as theirs were trained with it, and re-ranking itself has no pooling.
    """

    encoder: str = Field("resnet50", min_length=1)
    level: int | None = Field(None, ge=-8, le=-1)
    pooling: PoolingName = "gem"
    kernel_sizes: tuple[int, ...] = Field((7, 5, 5, 5, 5, 5), min_length=1)
    channels: tuple[int, ...] = Field((128, 128, 64, 64, 64, 64), min_length=1)
    padding: int = Field(1, ge=0, le=15, description="zeros around the map before each convolution")
    resize_px: int | None = Field(
        None, ge=16, description="shorter side of photos that are re-ranked; null is their own"
    )

    @model_validator(mode="after")
    def _fits(self) -> GeoWarpConfig:
        if self.level is not None and not self.encoder.startswith(TIMM_PREFIX):
            raise ValueError(f"level belongs to timm encoders, got encoder {self.encoder}; leave it out")
        if len(self.kernel_sizes) != len(self.channels):
            raise ValueError(
                f"kernel_sizes and channels must have one entry for each convolution, got "
                f"{len(self.kernel_sizes)} and {len(self.channels)}"
            )
        if min(self.kernel_sizes) < 1 or min(self.channels) < 1:
            raise ValueError("kernel_sizes and channels must be 1 or more")
        if self.last_side < 1:
            raise ValueError(
                f"kernel_sizes {list(self.kernel_sizes)} with padding {self.padding} leave nothing of a "
                f"map of {GRID} x {GRID}; use smaller ones"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_gem(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """The usual pooling leaves no trace: files and identities from before it was a key stay the same."""
        dumped: dict[str, Any] = handler(self)
        return {key: value for key, value in dumped.items() if (key, value) != ("pooling", "gem")}

    @property
    def last_side(self) -> int:
        """Side of the map after the last convolution; below 1 where a kernel does not fit."""
        side = GRID
        for kernel_size in self.kernel_sizes:
            side += 2 * self.padding - kernel_size + 1
            if side < 1:
                return 0
        return side
