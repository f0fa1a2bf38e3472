from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from tests.rerank.foreign import smooth_photos
from vgsearch.config.geowarp import GeoWarpConfig
from vgsearch.data.index import ImageIndex, index_folder
from vgsearch.rerank.network import GeoWarpNetwork, build_geowarp

SMALL = GeoWarpConfig(encoder="timm/test_resnet.r160_in1k", kernel_sizes=(7, 5, 5), channels=(16, 8, 8))
WritePhotos = Callable[[Path, Sequence[tuple[int, int]]], ImageIndex]


def moved_geowarp(config: GeoWarpConfig = SMALL, seed: int = 0) -> GeoWarpNetwork:
    """A network whose quadrilaterals depend on what it sees, in eval mode."""
    network = build_geowarp(config, seed=seed)
    torch.manual_seed(seed)
    for module in network.regression.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.regression(nn.functional.normalize(torch.rand(8, 225, 15, 15), dim=1))
        network.regression.linear.weight.normal_(0, 0.02)
    return network.eval()


@pytest.fixture(scope="session")
def geowarp() -> GeoWarpNetwork:
    return moved_geowarp()


@pytest.fixture
def write_photos(tmp_path: Path) -> WritePhotos:
    """Write smooth photos of the given (height, width), 100 m apart, and index them in that order."""

    def write(folder: Path, sizes: Sequence[tuple[int, int]]) -> ImageIndex:
        folder.mkdir(parents=True, exist_ok=True)
        for i, (height_px, width_px) in enumerate(sizes):
            pixels = smooth_photos(1, height_px, width_px, seed=i)[0].permute(1, 2, 0).numpy()
            name = f"@{500000 + i:010.2f}@{4000000 + 100 * i:010.2f}@30@T@0@0@pano{i:04d}@@0@@@@@@.png"
            Image.fromarray(pixels).save(folder / name)
        return index_folder(folder, cache_dir=tmp_path / "cache")

    return write
