"""Resizing the shorter side against torchvision's Resize."""

from __future__ import annotations

import pytest
import torch
from torchvision.transforms import v2

from vgsearch.data.resize import resize_shorter_side


@pytest.mark.parametrize(
    ("height", "width", "side_px"),
    [(48, 64, 32), (64, 48, 32), (33, 101, 50), (40, 40, 40), (7, 90, 20), (64, 32, 32)],
)
def test_equals_torchvision(height: int, width: int, side_px: int) -> None:
    image = torch.randint(0, 256, (3, height, width), dtype=torch.uint8)
    expected = v2.Resize(side_px, antialias=True)(image)
    assert torch.equal(resize_shorter_side(image, side_px), expected)
    interleaved = image.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    assert torch.equal(resize_shorter_side(interleaved, side_px), expected)
