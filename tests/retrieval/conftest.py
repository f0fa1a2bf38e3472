from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from vgsearch.data.index import ImageIndex, index_folder

WriteImages = Callable[[Path, Sequence[tuple[int, int]]], ImageIndex]


class ToyNetwork(nn.Module):
    """Strided convolution with BatchNorm, pooled: it tells images apart, and train mode changes it."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.convolution = nn.Conv2d(3, 16, 5, stride=3)
        self.norm = nn.BatchNorm2d(16)
        self.register_buffer("unused", torch.zeros(1))
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))

    def forward(self, images: Tensor) -> Tensor:
        features = self.norm(self.convolution(images.float() / 255)).relu()
        return nn.functional.normalize(features.float().mean(dim=(2, 3)), dim=1)


@pytest.fixture
def network() -> ToyNetwork:
    return ToyNetwork()


@pytest.fixture
def write_images(tmp_path: Path) -> WriteImages:
    """Write noise photos of the given (height, width), 100 m apart, and index them in that order."""

    def write(folder: Path, sizes: Sequence[tuple[int, int]]) -> ImageIndex:
        folder.mkdir(parents=True, exist_ok=True)
        for i, (height_px, width_px) in enumerate(sizes):
            pixels = np.random.default_rng(i).integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)
            name = f"@{500000 + i:010.2f}@{4000000 + 100 * i:010.2f}@30@T@0@0@pano{i:04d}@@0@@@@@@.jpg"
            Image.fromarray(pixels).save(folder / name)
        return index_folder(folder, cache_dir=tmp_path / "cache")

    return write
