"""Random resized crop against torchvision: boxes by a plain loop, pixels by its own function."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor
from torchvision import transforms
from torchvision.transforms.v2 import functional as reference

from vgsearch.data import resized_crop
from vgsearch.data.resized_crop import (
    NUM_UNIFORMS,
    CropDraws,
    crop_and_flip,
    crop_and_flip_batch,
    crop_boxes,
    draw_crop,
)


def draw(count: int, seed: int = 0, scale_min: float = 0.5, hflip: float = 0.5) -> CropDraws:
    uniforms = np.random.default_rng(seed).random((count, NUM_UNIFORMS))
    return draw_crop(uniforms, scale_min=scale_min, hflip=hflip)


def photo(height: int, width: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 9, 9, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic")[0]
    noise = torch.rand(3, height, width, generator=generator) - 0.5
    return ((smooth + 0.2 * noise).clamp(0, 1) * 255).to(torch.uint8)


def plain_box(draws: CropDraws, row: int, height: int, width: int) -> list[int]:
    for area_fraction, aspect in zip(draws.area_fraction[row], draws.aspect[row], strict=True):
        area = area_fraction * height * width
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            top = math.floor(draws.position[row, 0] * (height - h + 1))
            left = math.floor(draws.position[row, 1] * (width - w + 1))
            return [top, left, h, w]
    w, h = width, height
    if width / height < 3 / 4:
        h = round(width / (3 / 4))
    elif width / height > 4 / 3:
        w = round(height * (4 / 3))
    return [(height - h) // 2, (width - w) // 2, h, w]


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 700),
    width=st.integers(1, 700),
    scale_min=st.floats(0.01, 1),
    seed=st.integers(0, 1000),
)
def test_boxes_equal_a_plain_loop_and_stay_inside(
    height: int, width: int, scale_min: float, seed: int
) -> None:
    draws = draw(8, seed, scale_min)
    boxes = crop_boxes(draws, height, width)
    top, left, h, w = boxes.T
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (h >= 1).all()
    assert (w >= 1).all()
    assert (top + h <= height).all()
    assert (left + w <= width).all()
    if (
        min(height, width) > 1
    ):  # a fallback box of a sliver rounds to nothing in torchvision; here to one pixel
        assert boxes.tolist() == [plain_box(draws, row, height, width) for row in range(8)]


@pytest.mark.parametrize(("height", "width"), [(512, 512), (480, 640), (100, 400)])
def test_boxes_are_distributed_as_torchvisions(height: int, width: int) -> None:
    boxes = crop_boxes(draw(4000, scale_min=0.3), height, width)
    torch.manual_seed(0)
    image = torch.empty(3, height, width)
    params = transforms.RandomResizedCrop.get_params
    theirs = np.array([params(image, [0.3, 1.0], [3 / 4, 4 / 3]) for _ in range(1500)])
    for column in range(4):
        assert stats.ks_2samp(boxes[:, column], theirs[:, column]).pvalue > 1e-3


@pytest.mark.parametrize(
    ("height", "width", "out_px"), [(64, 64, 64), (90, 70, 48), (40, 60, 96), (33, 200, 32)]
)
def test_one_image_equals_torchvision(height: int, width: int, out_px: int) -> None:
    image = photo(height, width)
    draws = draw(12)
    interleaved = image.contiguous(memory_format=torch.channels_last) if image.ndim == 4 else image
    interleaved = interleaved.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    for row, box in enumerate(crop_boxes(draws, height, width).tolist()):
        expected = reference.resized_crop(image, *box, size=[out_px, out_px], antialias=True)
        expected = expected.flip(-1) if draws.flip[row] else expected
        one = draws.rows(slice(row, row + 1))
        result = crop_and_flip(image, one, out_px)
        assert result.dtype == torch.uint8
        assert torch.equal(result, expected)
        assert torch.equal(crop_and_flip(interleaved, one, out_px), expected)


@pytest.mark.parametrize(
    ("height", "width", "out_px"), [(64, 64, 64), (90, 70, 48), (40, 60, 96), (300, 40, 32)]
)
def test_batch_agrees_with_single_images(height: int, width: int, out_px: int) -> None:
    images = torch.stack([photo(height, width, seed) for seed in range(10)])
    draws = draw(10)
    result = crop_and_flip_batch(images, draws, out_px)
    singles = [crop_and_flip(image, draws.rows(slice(i, i + 1)), out_px) for i, image in enumerate(images)]
    difference = (result.int() - torch.stack(singles).int()).abs()
    assert result.dtype == torch.uint8
    assert difference.float().mean() < 0.5
    assert difference.max() <= 2


def test_batch_in_chunks_and_under_autocast_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    images, draws = torch.stack([photo(40, 50, seed) for seed in range(7)]), draw(7)
    whole = crop_and_flip_batch(images, draws, 32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(crop_and_flip_batch(images, draws, 32), whole)
    monkeypatch.setattr(resized_crop, "_PIXELS_AT_ONCE", 3 * 40 * 50 * 3)
    difference = (crop_and_flip_batch(images, draws, 32).int() - whole.int()).abs()
    assert difference.max() <= 1  # sums of other shapes may round the other way


def test_whole_image_at_its_own_size_is_kept() -> None:
    image = photo(48, 48)
    draws = CropDraws(np.ones((1, 10)), np.ones((1, 10)), np.zeros((1, 2)), np.array([False]))
    assert torch.equal(crop_and_flip(image, draws, 48), image)
    assert torch.equal(crop_and_flip_batch(image[None], draws, 48)[0], image)


def test_flip_probability() -> None:
    assert not draw(1000, hflip=0).flip.any()
    assert draw(1000, hflip=1).flip.all()
    assert 0.25 < draw(1000, hflip=0.3).flip.mean() < 0.35
