"""The margin losses, one model per name; units are in the names because the three margins differ in scale."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vgsearch.config.strict import Strict


class CosFaceConfig(Strict):
    """CosFace (Wang et al., CVPR 2018): the target cosine minus `margin_cos`."""

    name: Literal["cosface"]
    scale: float = Field(30.0, gt=0)
    margin_cos: float = Field(0.4, ge=0, lt=2)


class ArcFaceConfig(Strict):
    """ArcFace (Deng et al., CVPR 2019): the target angle plus `margin_rad` radians."""

    name: Literal["arcface"]
    scale: float = Field(64.0, gt=0)
    margin_rad: float = Field(0.5, ge=0, lt=3.14)
    detach_margin: bool = False


class SphereFaceConfig(Strict):
    """SphereFace (Liu et al., CVPR 2017): the target angle times `margin_mul`."""

    name: Literal["sphereface"]
    scale: float = Field(30.0, gt=0)
    margin_mul: float = Field(1.5, ge=1, le=8)
    detach_margin: bool = False


class CombinedConfig(Strict):
    """All three margins at once (ArcFace's Eq. 4): cos(m1 theta + m2) - m3."""

    name: Literal["combined"]
    scale: float = Field(64.0, gt=0)
    margin_mul: float = Field(1.0, ge=1, le=8)
    margin_rad: float = Field(0.3, ge=0, lt=3.14)
    margin_cos: float = Field(0.2, ge=0, lt=2)
    detach_margin: bool = False


LossConfig = Annotated[
    CosFaceConfig | ArcFaceConfig | SphereFaceConfig | CombinedConfig, Field(discriminator="name")
]
