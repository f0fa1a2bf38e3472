"""Any timm backbone as a module from normalised images to one NCHW feature map."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import timm
import torch
import torch.nn.functional as F
from timm.models.vgg import VGG
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from vgsearch.config.trial import BackboneConfig
from vgsearch.errors import ConfigError, WeightsError, first_line
from vgsearch.models.forward_trace import ForwardTrace, trace_forward
from vgsearch.models.seeding import seeded_cpu_draws
from vgsearch.models.trainable_stages import Stage, default_trainable_stages, split_into_stages
from vgsearch.models.weights import fetch_imagenet_file, load_backbone_weights
from vgsearch.models.weights_file import require_finite

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)

# What makes a family with a fixed input size take any size; its pre-trained tensors keep their shapes.
_ANY_SIZE_OPTIONS: dict[str, dict[str, bool]] = {
    "swin_transformer": {"strict_img_size": False},
    "swin_transformer_v2": {"strict_img_size": False},
    "vision_transformer": {"dynamic_img_size": True, "dynamic_img_pad": True},
    "deit": {"dynamic_img_size": True, "dynamic_img_pad": True},
    "eva": {"dynamic_img_size": True, "dynamic_img_pad": True},
}

# An odd, non-square size: queries come in every size. Some backbones need sides that are multiples of their
# patch (Swin: 4) or of their total stride (HRNet, DLA: 32); those get their images padded.
_PROBE_HEIGHT_PX, _PROBE_WIDTH_PX = 99, 131
_SIDE_MULTIPLES_PX = (1, 4, 32)


class Backbone(nn.Module):
    """A timm model up to its last feature map, its first stages frozen.

    Attributes:
        trunk: The timm model without its classifier.
        channels: Channels of the map.
        side_multiple_px: Images are padded to sides that are multiples of it, with zeros (which is the mean
            colour, after normalisation) below and to the right.
        mean: Channel means that the input is normalised with, of images in [0, 1].
        std: Channel standard deviations likewise.
        stages: Stages from input to output.
        trainable_stages: How many of them, counted from the output, train.
    """

    def __init__(
        self,
        trunk: nn.Module,
        *,
        channels: int,
        side_multiple_px: int,
        stages: list[Stage],
        trainable_stages: int,
        frozen_bn: str,
    ) -> None:
        """Freeze all but the last `trainable_stages` stages.

        Args:
            trunk: timm model without classifier.
            channels: Channels of its map.
            side_multiple_px: What image sides are padded to a multiple of.
            stages: All its stages.
            trainable_stages: In [0, len(stages)].
            frozen_bn: `eval` keeps frozen BatchNorm at its stored statistics in training too; `batch`
                lets it use and update batch statistics, as CosPlace does.
        """
        super().__init__()
        self.trunk = trunk
        self.channels = channels
        self.side_multiple_px = side_multiple_px
        self.stages = tuple(stages)
        self.trainable_stages = trainable_stages
        source = getattr(trunk, "pretrained_cfg", None) or {}
        self.mean: tuple[float, ...] = tuple(source.get("mean") or _IMAGENET_MEAN)
        self.std: tuple[float, ...] = tuple(source.get("std") or _IMAGENET_STD)
        frozen = {name for stage in stages[: len(stages) - trainable_stages] for name in stage.parameters}
        for name, parameter in trunk.named_parameters():
            parameter.requires_grad_(name not in frozen)
        owners = {name.rpartition(".")[0] for name in frozen}
        self._frozen_batch_norms = [
            module
            for name, module in trunk.named_modules()
            if isinstance(module, _BatchNorm) and name in owners and frozen_bn == "eval"
        ]

    def train(self, mode: bool = True) -> Backbone:
        """Set the training mode, except of frozen BatchNorm that stays at its stored statistics."""
        super().train(mode)
        for batch_norm in self._frozen_batch_norms:
            batch_norm.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Compute the map.

        Args:
            images: Normalised float tensor with shape (b, 3, h, w), of any size that leaves a map.

        Returns:
            Tensor with shape (b, channels, h', w').
        """
        return _map_of(self.trunk, _pad(images, self.side_multiple_px))


def build_backbone(
    config: BackboneConfig,
    *,
    image_px: int,
    load_weights: bool = True,
    seed: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> Backbone:
    """Build a backbone by its timm name.

    VGG ends, as in CosPlace, before the last ReLU and max-pooling of its `features`; all others end where
    timm's `forward_features` ends. Classifier layers are removed, so that every parameter makes the map.

    Args:
        config: The backbone; `weights: null` counts as `none`, `trainable_stages: null` as the family's own
            default, `frozen_bn: null` as `eval`.
        image_px: Size of the training images, which must leave a map.
        load_weights: False leaves random weights, for a checkpoint that overwrites them.
        seed: Seed of all random weights.
        say: Told in one sentence what of a weights file is left out.

    Raises:
        ConfigError: No such backbone, more stages than it has, or images that it cannot take.
        WeightsError: The weights cannot be had or do not fit.
    """
    check_backbone(config.name)
    weights = (config.weights or "none") if load_weights else "none"
    trunk = _create_trunk(config.name, seed, with_imagenet=weights == "imagenet")
    if isinstance(trunk, VGG):
        trunk.features = trunk.features[:-2]
    if config.bn_eps is not None:
        _set_bn_eps(trunk, config)
    side_multiple_px, trace, channels = _probe(trunk, config.name)
    dropped = _drop_unused_children(trunk, trace.unused)
    stages = split_into_stages(trunk, trace)
    wanted = config.trainable_stages
    if wanted is None:
        wanted = default_trainable_stages(trunk, len(stages))
    if wanted > len(stages):
        raise ConfigError(
            [
                f"trial.trainable_stages: {config.name} has {len(stages)} stages, but {wanted} were asked "
                f"for; set at most {len(stages)}"
            ]
        )
    if weights not in ("imagenet", "none"):
        load_backbone_weights(trunk, config, ignored_children=dropped, say=say)
    backbone = Backbone(
        trunk,
        channels=channels,
        side_multiple_px=side_multiple_px,
        stages=stages,
        trainable_stages=wanted,
        frozen_bn=config.frozen_bn or "eval",
    )
    _check_image_px(backbone, config.name, image_px)
    return backbone


def check_backbone(name: str) -> None:
    """Check that `name` is a backbone of the installed timm, with or without a pre-training tag.

    Raises:
        ConfigError: It is not; the message gives the nearest names or tags.
    """
    problem = backbone_problem(name)
    if problem is not None:
        raise ConfigError([problem])


def backbone_problem(name: str) -> str | None:
    """One sentence on why `name` is no backbone, with the nearest names; None if it is one."""
    architecture, _, tag = name.partition(".")
    if architecture not in timm.list_models():
        nearest = ", ".join(nearest_backbones(name))
        return f"trial.backbone: {name!r} is not a timm backbone; nearest: {nearest}"
    if tag and name not in timm.list_pretrained(f"{architecture}.*"):
        tags = ", ".join(timm.list_pretrained(f"{architecture}.*")) or f"{architecture} (it has no tags)"
        return f"trial.backbone: {architecture} has no pre-training tag {tag!r}; choose from {tags}"
    return None


def nearest_backbones(name: str, n: int = 3) -> list[str]:
    """The `n` timm names most like `name`, best first; never empty."""
    architecture = name.partition(".")[0].lower()
    known = timm.list_models()
    found = difflib.get_close_matches(architecture, known, n=n, cutoff=0.5)
    return found or difflib.get_close_matches(architecture, known, n=n, cutoff=0.0)


def _create_trunk(name: str, seed: int, *, with_imagenet: bool) -> nn.Module:
    """Create the timm model without its last layer; timm itself converts its pre-trained weights."""
    family = timm.models.model_entrypoint(name.partition(".")[0]).__module__.rpartition(".")[2]
    options: dict[str, Any] = dict(_ANY_SIZE_OPTIONS.get(family, {}))
    if family == "vgg" and not with_imagenet:
        # VGG's hidden classifier layers have eight times the parameters of the rest and are dropped anyway;
        # this makes them one channel wide.
        options["mlp_ratio"] = 1 / 4096
    if with_imagenet:
        file = fetch_imagenet_file(name)
        options |= {"pretrained": True}
        options |= {} if file is None else {"pretrained_cfg_overlay": {"file": str(file)}}
    try:
        with seeded_cpu_draws(seed, "backbone"):
            trunk: nn.Module = timm.create_model(name, num_classes=0, **options)
    except Exception as error:
        if not with_imagenet:
            raise
        raise WeightsError(
            f"trial.weights: the imagenet weights of {name} cannot be loaded ({first_line(error)}); "
            "delete their cached file, or set a FILE or `none`"
        ) from error
    if with_imagenet:
        require_finite(trunk.state_dict(), f"trial.weights: the imagenet weights of {name}")
    return trunk


def _set_bn_eps(trunk: nn.Module, config: BackboneConfig) -> None:
    """Give every BatchNorm the epsilon that the trial asks for."""
    batch_norms = [module for module in trunk.modules() if isinstance(module, _BatchNorm)]
    if not batch_norms:
        raise ConfigError([f"trial.backbone.bn_eps: {config.name} has no BatchNorm; leave bn_eps out"])
    for batch_norm in batch_norms:
        batch_norm.eps = float(config.bn_eps or 0.0)


def _drop_unused_children(trunk: nn.Module, unused: frozenset[str]) -> tuple[str, ...]:
    """Replace children that own parameters none of which makes the map; return their names."""
    dropped = []
    for name, child in trunk.named_children():
        parameters = [f"{name}.{parameter}" for parameter, _ in child.named_parameters()]
        if parameters and unused.issuperset(parameters):
            setattr(trunk, name, nn.Identity())
            dropped.append(name)
    return tuple(dropped)


def _probe(trunk: nn.Module, name: str) -> tuple[int, ForwardTrace, int]:
    """Find what sides must be a multiple of, and trace a pass through images that are.

    Returns:
        The multiple in pixels, the trace, and the channels of the map.
    """
    images = torch.zeros(1, 3, _PROBE_HEIGHT_PX, _PROBE_WIDTH_PX)
    refusals = []
    for side_multiple_px in _SIDE_MULTIPLES_PX:
        padded = _pad(images, side_multiple_px)
        try:
            trace = trace_forward(trunk, padded)
            return side_multiple_px, trace, _as_map(trunk, trace.output, padded).shape[1]
        except (RuntimeError, ValueError, AssertionError, TypeError) as error:
            refusals.append(first_line(error))
    raise ConfigError(
        [
            f"trial.backbone: {name} gives no feature map for images of any size, and queries come in many; "
            f"choose a convolutional network, Swin or a plain ViT ({refusals[0]})"
        ]
    )


def _pad(images: Tensor, multiple_px: int) -> Tensor:
    """Add zeros below and to the right until both sides are multiples."""
    height, width = images.shape[-2:]
    below, right = -height % multiple_px, -width % multiple_px
    return F.pad(images, (0, right, 0, below)) if below or right else images


def _map_of(trunk: nn.Module, images: Tensor) -> Tensor:
    return _as_map(trunk, trunk.forward_features(images), images)  # type: ignore[operator]


def _as_map(trunk: nn.Module, features: object, images: Tensor) -> Tensor:
    """Bring what `forward_features` gave for `images` to NCHW; ValueError where that is not possible."""
    if isinstance(features, Tensor) and features.ndim == 4:
        is_nhwc = str(getattr(trunk, "output_fmt", "NCHW")).endswith("NHWC")
        return features.permute(0, 3, 1, 2) if is_nhwc else features
    patches = getattr(trunk, "patch_embed", None)
    if isinstance(features, Tensor) and features.ndim == 3 and hasattr(patches, "dynamic_feat_size"):
        height, width = patches.dynamic_feat_size(tuple(images.shape[-2:]))  # type: ignore[union-attr]
        tokens = features[:, int(getattr(trunk, "num_prefix_tokens", 0)) :]
        if tokens.shape[1] == height * width:
            return tokens.transpose(1, 2).reshape(len(tokens), -1, height, width)
    raise ValueError("its features are no map of positions")


def _check_image_px(backbone: Backbone, name: str, image_px: int) -> None:
    """Refuse training images so small that nothing is left of them."""
    if image_px >= min(_PROBE_HEIGHT_PX, _PROBE_WIDTH_PX):
        return
    backbone.eval()
    try:
        with torch.no_grad():
            positions = backbone(torch.zeros(1, 3, image_px, image_px))[0, 0].numel()
    except RuntimeError:
        positions = 0
    if positions == 0:
        raise ConfigError([f"trial.image_px: {image_px} is too small for {name}; choose a larger size"])
    backbone.train()
