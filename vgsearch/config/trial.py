"""One decided trial: what to train and how. Defaults are CosPlace's."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from vgsearch.config.losses import CosFaceConfig, LossConfig
from vgsearch.config.strict import Strict

FrozenBatchNorm = Literal["eval", "batch"]

_WEIGHTS = (
    "imagenet (timm's hub), none, bundled (EfficientNet-Lite0), a file, or a recorded model as "
    "models:/NAME@ALIAS, models:/NAME/VERSION or runs:/ID. A file is .safetensors or PyTorch's, read without "
    "running code: timm's or torchvision's tensors of this backbone (ImageNet, Places365, GLDv2; the head "
    "is left out), CosPlace's or EigenPlaces' whole network, or a checkpoint of ours (its folder will do). "
    "A whole network also gives GeM's p and the linear layer, where descriptor_dim is its own. A relative "
    "path starts at the data root."
)


class BackboneConfig(Strict):
    """A backbone with what goes with it, so that one choice can couple them; null takes the trial's key.

    `bn_eps` null is timm's own epsilon of BatchNorm. torchvision's EfficientNet-B5 to B7 have another one, so
    their weights need it.
    """

    name: str = Field(min_length=1)
    weights: str | None = Field(None, description=_WEIGHTS)
    trainable_stages: int | None = Field(None, ge=0)
    frozen_bn: FrozenBatchNorm | None = None
    bn_eps: float | None = Field(None, gt=0, le=0.1, description="epsilon of every BatchNorm")

    @model_serializer(mode="wrap")
    def _without_unset_eps(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """An unset epsilon leaves no trace: files and keys written before it existed stay the same."""
        dumped: dict[str, Any] = handler(self)
        return {key: value for key, value in dumped.items() if value is not None or key != "bn_eps"}


class PoolingConfig(Strict):
    """How a feature map becomes one vector: GeM (Radenovic et al., TPAMI 2019) with a learned power."""

    name: Literal["gem"] = "gem"
    p: float = Field(3.0, gt=0, le=20)


class DomainConfig(Strict):
    """Domain adaptation by gradient reversal (Ganin & Lempitsky, ICML 2015).

    `where` is what the domain classifier reads: the unit `descriptor`, or the `features` that pooling gives
    to the linear layer, so that the backbone and the pooling alone are confused. Only `grl_alpha` and
    `schedule` mean something beside `placement: inline`, which has no domain classifier.
    """

    grl_alpha: float = Field(0.3, ge=0)
    schedule: Literal["constant", "ramp"] = "constant"
    placement: Literal["discriminator", "inline"] = "discriminator"
    where: Literal["descriptor", "features"] = "descriptor"
    hidden: int = Field(128, ge=1, description="width of the domain classifier's hidden layer")
    lr: float = Field(1.0e-3, gt=0, description="the domain classifier's rate, Adam")
    weight: float = Field(1.0, ge=0, description="factor on the domain classifier's cross-entropy")
    batch_fraction: float = Field(
        0.5, gt=0, le=4, description="target images, of all domains, for each training image"
    )


class CellsConfig(Strict):
    """CosPlace's geographic classes (its M, alpha, N and L) and which of their groups train."""

    cell_m: int = Field(10, ge=1, le=1_000_000)
    heading_deg: int = Field(30, ge=1, le=360)
    groups_across: int = Field(5, ge=1, le=10_000)
    groups_heading: int = Field(2, ge=1, le=360)
    groups_used: int = Field(8, ge=1)
    min_images: int = Field(10, ge=1)


class AugmentConfig(Strict):
    """Training augmentation, in the order: crop and flip, style (FDA), colour, perspective.

    Colour strengths are as in torchvision's ColorJitter, perspective as in its RandomPerspective. FDA (Yang &
    Soatto, CVPR 2020) gives images the style of photos of `data.target_domain`.
    """

    brightness: float = Field(0.7, ge=0)
    contrast: float = Field(0.7, ge=0)
    saturation: float = Field(0.7, ge=0)
    hue: float = Field(0.5, ge=0, le=0.5)
    crop_scale_min: float = Field(0.5, gt=0, le=1, description="least part of the area that a crop keeps")
    hflip: float = Field(0.0, ge=0, le=1, description="probability of a horizontal flip")
    # From 2/3 on three corners of the distorted image may lie on a line.
    perspective: float = Field(0.0, ge=0, le=0.6, description="distortion scale; 0 leaves it out")
    perspective_probability: float = Field(0.5, ge=0, le=1)
    fda_beta: float = Field(0.0, ge=0, lt=0.5, description="part of the spectrum that is swapped; 0: no FDA")
    fda_probability: float = Field(1.0, ge=0, le=1, description="of an image to take a style")

    @property
    def takes_styles(self) -> bool:
        """Whether any image takes the style of a photo of the target domain."""
        return self.fda_beta > 0 and self.fda_probability > 0


class TrialConfig(Strict):
    """Everything that decides one training run, apart from the data."""

    backbone: str | BackboneConfig = "resnet18.tv_in1k"
    weights: str = Field("imagenet", min_length=1, description=_WEIGHTS)
    trainable_stages: int | None = Field(None, ge=0)
    frozen_bn: FrozenBatchNorm = "eval"
    pooling: PoolingConfig = PoolingConfig()
    descriptor_dim: int = Field(512, ge=1, le=65536)
    loss: LossConfig = CosFaceConfig(name="cosface")
    domain: DomainConfig | None = None
    cells: CellsConfig = CellsConfig()
    augment: AugmentConfig = AugmentConfig()
    image_px: int = Field(512, ge=16, le=8192)
    batch_size: int = Field(32, ge=1)
    epochs: int = Field(50, ge=1)
    iterations_per_epoch: int = Field(10000, ge=1)
    lr: float = Field(1.0e-5, gt=0)
    classifier_lr: float = Field(1.0e-2, gt=0)
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    compile: bool = False
    seed: int = Field(0, ge=0, lt=2**31)

    @property
    def resolved_backbone(self) -> BackboneConfig:
        """The backbone with nulls filled from the trial's own keys (`trainable_stages` may stay null)."""
        given = (
            self.backbone if isinstance(self.backbone, BackboneConfig) else BackboneConfig(name=self.backbone)
        )
        return BackboneConfig(
            name=given.name,
            weights=self.weights if given.weights is None else given.weights,
            trainable_stages=self.trainable_stages
            if given.trainable_stages is None
            else given.trainable_stages,
            frozen_bn=self.frozen_bn if given.frozen_bn is None else given.frozen_bn,
            bn_eps=given.bn_eps,
        )
