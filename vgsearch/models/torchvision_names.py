"""torchvision's tensor names, whole or numbered by `nn.Sequential`, as timm's of the same backbone."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable

from timm.models.efficientnet import EfficientNet
from timm.models.resnet import ResNet
from timm.models.vgg import VGG
from torch import nn

# timm's architectures that compute what torchvision's of that name does. Others have the same tensors and
# compute something else: `resnetblur18` blurs, `tf_efficientnet_b0` pads otherwise.
SAME_AS_TORCHVISION = (
    *(f"resnet{depth}" for depth in (18, 34, 50, 101, 152)),
    *(f"vgg{depth}{bn}" for depth in (11, 13, 16, 19) for bn in ("", "_bn")),
    *(f"efficientnet_b{size}" for size in range(8)),
)
# torchvision's own epsilon, where it is not PyTorch's 1e-5 that timm takes.
TORCHVISION_BN_EPS = {f"efficientnet_b{size}": 1e-3 for size in (5, 6, 7)}

# The children of torchvision's ResNet in their order, as `nn.Sequential(*model.children())` numbers them.
_RESNET_CHILDREN = (
    "conv1",
    "bn1",
    "relu",
    "maxpool",
    "layer1",
    "layer2",
    "layer3",
    "layer4",
    "avgpool",
    "fc",
)
_EFFICIENTNET_KEY = re.compile(r"features\.(\d+)\.(\d+)\.(.+)")
_STAGES = range(1, 8)
_STEM, _HEAD = "0", "8"
# The parts of a block: with an expansion in front, and without (torchvision numbers what is there).
_EXPANDED = {
    "block.0.0": "conv_pw",
    "block.0.1": "bn1",
    "block.1.0": "conv_dw",
    "block.1.1": "bn2",
    "block.2.fc1": "se.conv_reduce",
    "block.2.fc2": "se.conv_expand",
    "block.3.0": "conv_pwl",
    "block.3.1": "bn3",
}
_UNEXPANDED = {
    "block.0.0": "conv_dw",
    "block.0.1": "bn1",
    "block.1.fc1": "se.conv_reduce",
    "block.1.fc2": "se.conv_expand",
    "block.2.0": "conv_pw",
    "block.2.1": "bn2",
}


def timm_names(names: Collection[str], trunk: nn.Module) -> dict[str, str] | None:
    """Translate a file's tensor names for a timm backbone.

    Args:
        names: As they stand in the file. Numbered ones come from `nn.Sequential` over a ResNet's children, a
            VGG's `features`, or an EfficientNet cut before its pooling, as CosPlace makes them.
        trunk: timm model.

    Returns:
        timm's name for each of `names` that can only be torchvision's, and every other name for itself; None
        where nothing tells the file from timm's own (torchvision's whole ResNets and VGGs).
    """
    numbered = any(name.partition(".")[0].isdecimal() for name in names)
    translate = _translator(names, trunk, numbered=numbered)
    if translate is None:
        return None
    return {name: translate(name) or name for name in names}


def _translator(
    names: Iterable[str], trunk: nn.Module, *, numbered: bool
) -> Callable[[str], str | None] | None:
    if isinstance(trunk, EfficientNet):
        whole = {f"features.{name.partition('.')[2]}" if numbered else name: name for name in names}
        if not any(_EFFICIENTNET_KEY.fullmatch(name) for name in whole):
            return None
        # CosPlace's Sequential has one child, `features`, so its names begin with `0.`.
        unexpanded = _unexpanded_blocks(whole)
        return lambda name: _efficientnet_name(
            f"features.{name.removeprefix('0.')}" if numbered and name.startswith("0.") else name, unexpanded
        )
    if not numbered:
        return None
    if isinstance(trunk, ResNet):
        return _resnet_name
    if isinstance(trunk, VGG):
        return lambda name: f"features.{name}" if name.partition(".")[0].isdecimal() else None
    return None


def _resnet_name(name: str) -> str | None:
    number, _, rest = name.partition(".")
    if not number.isdecimal() or int(number) >= len(_RESNET_CHILDREN):
        return None
    return f"{_RESNET_CHILDREN[int(number)]}.{rest}"


def _unexpanded_blocks(names: Iterable[str]) -> frozenset[tuple[str, str]]:
    """Blocks whose second part is squeeze-and-excitation already: nothing expands before it."""
    found = (_EFFICIENTNET_KEY.fullmatch(name) for name in names)
    return frozenset((match[1], match[2]) for match in found if match and match[3].startswith("block.1.fc1."))


def _efficientnet_name(name: str, unexpanded: Collection[tuple[str, str]]) -> str | None:
    match = _EFFICIENTNET_KEY.fullmatch(name)
    if match is None:
        return None
    stage, block, rest = match.groups()
    if stage in (_STEM, _HEAD):
        conv, norm = ("conv_stem", "bn1") if stage == _STEM else ("conv_head", "bn2")
        return {"0": f"{conv}.{rest}", "1": f"{norm}.{rest}"}.get(block)
    part, _, leaf = rest.rpartition(".")
    own = (_UNEXPANDED if (stage, block) in unexpanded else _EXPANDED).get(part)
    return f"blocks.{int(stage) - 1}.{block}.{own}.{leaf}" if own and int(stage) in _STAGES else None
