"""GeoWarp's parts from the paper, in plain loops and torchvision's layers: what ours is held to."""

from __future__ import annotations

import numpy as np
import torch
import torchvision
from torch import Tensor, nn


def correlation_by_loops(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(c, 15, 15) twice -> (225, 15, 15): channel 15 x + y is position (y, x) of the first photo."""
    found = np.zeros((225, 15, 15))
    for row in range(15):
        for column in range(15):
            for y in range(15):
                for x in range(15):
                    found[15 * x + y, row, column] = max(0.0, first[:, y, x] @ second[:, row, column])
    return found / np.sqrt((found**2).sum(axis=0) + 1e-6)


def homography_by_svd(corners: np.ndarray, to: np.ndarray) -> np.ndarray:
    """Direct linear transform (Hartley & Zisserman, 4.1): the null space of eight equations."""
    rows = []
    for (x, y), (u, v) in zip(corners, to, strict=True):
        rows.append([-x, -y, -1, 0, 0, 0, u * x, u * y, u])
        rows.append([0, 0, 0, -x, -y, -1, v * x, v * y, v])
    found = np.linalg.svd(np.array(rows))[2][-1].reshape(3, 3)
    return found / found[2, 2]


def authors_extractor(name: str, pooling: str = "gem") -> nn.Module:
    """Their encoder and the tensors that pool for their baseline, by their names."""
    whole = torchvision.models.get_model(name, weights=None)
    layers = list(whole.children())[:-3] if name == "resnet50" else list(whole.features.children())[:-2]
    extractor = nn.Module()
    extractor.encoder = nn.Sequential(*layers)
    extractor.pool = nn.Module()
    if pooling == "gem":
        extractor.pool = nn.Sequential(nn.Identity(), nn.Module())
        extractor.pool[1].p = nn.Parameter(torch.ones(1) * 3)
    else:
        extractor.pool.centroids = nn.Parameter(torch.rand(64, 256))
        extractor.pool.conv = nn.Conv2d(256, 64, 1, bias=False)
    return extractor


class AuthorsRegression(nn.Module):
    """Their regression by its table: kernels 7, 5, 5, 5, 5, 5 with padding 1, 15 -> 11 -> 9 -> ... -> 1."""

    def __init__(self, seed: int = 0, spread: float = 0.03) -> None:
        super().__init__()
        torch.manual_seed(seed)
        channels = (225, 128, 128, 64, 64, 64, 64)
        layers: list[nn.Module] = []
        for i, kernel in enumerate((7, 5, 5, 5, 5, 5)):
            norm = nn.BatchNorm2d(channels[i + 1], momentum=1.0)
            layers += [nn.Conv2d(channels[i], channels[i + 1], kernel, padding=1), norm, nn.ReLU()]
        self.conv = nn.Sequential(*layers)
        self.linear = nn.Linear(64, 16)
        with torch.no_grad():
            self.linear.weight.normal_(0, spread)
            self.linear.bias.copy_(torch.tensor([-1.0, -1, 1, -1, 1, 1, -1, 1] * 2))
            self(nn.functional.normalize(torch.rand(8, 225, 15, 15), dim=1))
        self.eval()

    def forward(self, correlation: Tensor) -> Tensor:
        return self.linear(self.conv(correlation).flatten(1)).reshape(-1, 8, 2)


def smooth_photos(count: int, height_px: int, width_px: int, seed: int = 0) -> Tensor:
    """Blurred noise, uint8 (count, 3, h, w)."""
    torch.manual_seed(seed)
    coarse = torch.rand(count, 3, height_px // 8, width_px // 8)
    fine = nn.functional.interpolate(coarse, size=(height_px, width_px), mode="bicubic")
    return (fine.clamp(0, 1) * 255).round().to(torch.uint8)
