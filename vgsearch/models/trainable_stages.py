"""How a backbone divides into stages, and which of them are left trainable by default."""

from __future__ import annotations

from dataclasses import dataclass

from timm.models.convnext import ConvNeXt
from timm.models.efficientnet import EfficientNet
from timm.models.mobilenetv3 import MobileNetV3
from timm.models.resnet import ResNet
from timm.models.swin_transformer import SwinTransformer
from timm.models.vgg import VGG
from torch import nn

from vgsearch.models.forward_trace import ForwardTrace


@dataclass(frozen=True)
class Stage:
    """One stretch of a backbone, from where the stage before it ends.

    Attributes:
        name: Name of the module at whose end the stage ends.
        parameters: Names of its parameters.
    """

    name: str
    parameters: tuple[str, ...]


def split_into_stages(model: nn.Module, trace: ForwardTrace) -> list[Stage]:
    """Divide the parameters of `model` by the order in which a forward pass uses them.

    The stages are what the authors of CosPlace and its successors count:

    - ResNet: stem, layer1 ... layer4.
    - VGG: the convolutions between two max-poolings (the last one is "the last five layers" of CosPlace).
    - EfficientNet, and MobileNetV2 in timm: stem, each group of blocks, head convolution, like the
      children of torchvision's `features`.
    - MobileNetV3: stem, each single block, last convolution, again like torchvision's `features`.
    - Everything else (ConvNeXt, Swin, ViT, ...): timm's own feature levels, the stem with the first of
      them and what follows the last (a final norm) with the last.

    Args:
        model: timm model, already without its classifier.
        trace: A forward pass through it.

    Returns:
        Stages from input to output; every parameter is in exactly one.
    """
    ends = [name for name in _stage_ends(model) if name in trace.left]
    if not ends:
        ends = [name for name, child in model.named_children() if name in trace.left and _has_weights(child)]
    ends = sorted(set(ends), key=lambda name: trace.left[name]) or [""]
    members: list[list[str]] = [[] for _ in ends]
    for parameter, _ in model.named_parameters():
        tick = trace.tick_of_parameter(parameter)
        later = (i for i, end in enumerate(ends) if tick < trace.left.get(end, tick))
        members[next(later, len(ends) - 1)].append(parameter)
    return [Stage(name, tuple(owned)) for name, owned in zip(ends, members, strict=True) if owned]


def default_trainable_stages(model: nn.Module, num_stages: int) -> int:
    """How many stages from the output train when the user does not say.

    ResNet 2 (layer3 and layer4, as in CosPlace), VGG 1 (its last five layers), EfficientNet 2 and
    MobileNetV3 3 feature blocks, ConvNeXt and Swin their last stage; a quarter of the stages, at least
    one, of a backbone that the authors did not try.
    """
    defaults: list[tuple[type[nn.Module], int]] = [
        (ResNet, 2),
        (VGG, 1),
        (MobileNetV3, 3),
        (EfficientNet, 2),
        (ConvNeXt, 1),
        (SwinTransformer, 1),
    ]
    for family, stages in defaults:
        if isinstance(model, family):
            return min(stages, num_stages)
    return max(1, num_stages // 4)


def _stage_ends(model: nn.Module) -> list[str]:
    """Names of the modules at whose end a stage ends, in no particular order."""
    if isinstance(model, VGG):
        last = len(model.features) - 1
        pools = [i for i, layer in enumerate(model.features) if isinstance(layer, nn.MaxPool2d)]
        return [f"features.{i}" for i in (*pools, last)]
    if isinstance(model, MobileNetV3):
        return [
            "bn1",
            *(
                f"blocks.{i}.{j}"
                for i, group in enumerate(model.blocks)
                for j, _ in enumerate(group.children())
            ),
        ]
    if isinstance(model, EfficientNet):
        return ["bn1", *(f"blocks.{i}" for i in range(len(model.blocks))), "bn2"]
    return [level["module"] for level in getattr(model, "feature_info", []) if level.get("module")]


def _has_weights(module: nn.Module) -> bool:
    return any(True for _ in module.parameters())
