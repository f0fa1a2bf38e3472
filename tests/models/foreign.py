"""Networks as their authors build them, from torchvision's own classes: what imports are compared with."""

from __future__ import annotations

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

CHANNELS = {"VGG16": 512, "ResNet18": 512, "EfficientNet_B2": 1408, "EfficientNet_B3": 1536} | {
    "EfficientNet_B4": 1792,
    "EfficientNet_B5": 2048,
    "EfficientNet_B6": 2304,
    "EfficientNet_B7": 2560,
}
CHANNELS |= dict.fromkeys(("EfficientNet_B0", "EfficientNet_B1"), 1280)
CHANNELS |= dict.fromkeys(("ResNet50", "ResNet101", "ResNet152"), 2048)


class UnitLength(nn.Module):
    """L2 normalisation over channels."""

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=1)


class PowerMean(nn.Module):
    """GeM, straight from its formula."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.tensor([p]))

    def forward(self, x: Tensor) -> Tensor:
        return (x.clamp(min=1e-6) ** self.p).mean((2, 3), keepdim=True) ** (1 / self.p)


class CosPlaceNetwork(nn.Module):
    """torchvision's network without its last two children, in a Sequential, and CosPlace's head."""

    def __init__(self, backbone: str, descriptor_dim: int, *, p: float = 2.37, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        whole = getattr(torchvision.models, backbone.lower())(weights=None)
        children = whole.features.children() if backbone == "VGG16" else whole.children()
        self.backbone = nn.Sequential(*list(children)[:-2])
        linear = nn.Linear(CHANNELS[backbone], descriptor_dim)
        self.aggregation = nn.Sequential(UnitLength(), PowerMean(p), nn.Flatten(), linear, UnitLength())
        settle(self.backbone, seed)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Images in [0, 1] -> descriptors (b, d)."""
        return self.aggregation(self.backbone(normalised(images)))


def settle(module: nn.Module, seed: int) -> None:
    """Give BatchNorm the statistics of some images, moved at random, so that nothing is at its default.

    Variances are kept away from zero, or rounding errors would grow from layer to layer.
    """
    draw = torch.Generator().manual_seed(seed)
    batch_norms = [each for each in module.modules() if isinstance(each, nn.BatchNorm2d)]
    with torch.no_grad():
        for each in batch_norms:
            each.momentum = 1.0
            each.weight.copy_(torch.rand(each.weight.shape, generator=draw) * 0.4 + 0.8)
            each.bias.copy_(torch.randn(each.bias.shape, generator=draw) * 0.1)
        for each in module.modules():
            if isinstance(each, torchvision.models.resnet.Bottleneck):
                each.bn3.weight.mul_(0.3)  # as after training, where blocks add little to what they are given
        module.train()
        for each in module.modules():
            if type(each).__name__ == "StochasticDepth":
                each.eval()
        module(blocky(4, 96, 96, draw) * 4 - 2)
        module.eval()
        for each in batch_norms:
            spread = each.running_var.mean()
            each.running_mean.add_(torch.randn(each.running_mean.shape, generator=draw) * 0.1 * spread.sqrt())
            each.running_var.clamp_(min=spread)
            each.running_var.mul_(torch.rand(each.running_var.shape, generator=draw) * 0.5 + 0.75)


def blocky(count: int, height: int, width: int, draw: torch.Generator) -> Tensor:
    """Images in [0, 1] of random blocks of four pixels, which survive the strides."""
    return F.interpolate(torch.rand(count, 3, 24, 24, generator=draw), size=(height, width))


def normalised(images: Tensor) -> Tensor:
    """ImageNet's mean and standard deviation, as torchvision applies them."""
    return torchvision.transforms.functional.normalize(images, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
