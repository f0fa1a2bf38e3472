"""Batched colour jitter against torchvision's functions, image by image in the drawn order."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as reference

from vgsearch.data import color_jitter as module
from vgsearch.data.color_jitter import NUM_UNIFORMS, JitterDraws, color_jitter, draw_jitter

REFERENCES = (
    reference.adjust_brightness,
    reference.adjust_contrast,
    reference.adjust_saturation,
    reference.adjust_hue,
)


def draw(count: int, seed: int = 0, strength: float = 0.7, hue: float = 0.5) -> JitterDraws:
    uniforms = np.random.default_rng(seed).random((count, NUM_UNIFORMS))
    return draw_jitter(uniforms, brightness=strength, contrast=strength, saturation=strength, hue=hue)


def photos(count: int, height: int = 37, width: int = 41, seed: int = 0) -> Tensor:
    """Smooth colours with grey, black, white and fully saturated patches, where the hue is hard."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 5, 5, generator=generator)
    images = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")
    images[:, :, :4, :4] = 0
    images[:, :, :4, 4:8] = 1
    images[:, :, :4, 8:12] = 0.5
    images[:, 0, 4:8, :4] = 1
    images[:, 1:, 4:8, :4] = 0
    images[:, :2, 4:8, 4:8] = 0.25  # two channels tie
    return images


def plain_loop(images: Tensor, draws: JitterDraws) -> Tensor:
    results = []
    for row, image in enumerate(images):
        for column in draws.order[row]:
            image = REFERENCES[column](image, float(draws.factors[row, column]))
        results.append(image)
    return torch.stack(results)


def test_equals_torchvision_image_by_image() -> None:
    images, draws = photos(48), draw(48)
    result = color_jitter(images, draws)
    assert result.dtype == torch.float32
    assert result.is_contiguous()
    torch.testing.assert_close(result, plain_loop(images, draws), atol=1e-5, rtol=0)


def test_equals_torchvision_on_noise() -> None:
    images, draws = torch.rand(24, 3, 19, 23), draw(24, seed=1)
    torch.testing.assert_close(color_jitter(images, draws), plain_loop(images, draws), atol=1e-5, rtol=0)


@pytest.mark.parametrize("column", range(4))
def test_each_operation_alone(column: int) -> None:
    factors = np.tile(np.array([1, 1, 1, 0], dtype=np.float32), (9, 1))
    factors[:, column] = np.linspace(-0.5, 0.5, 9) if column == 3 else np.linspace(0, 2.5, 9)
    draws = JitterDraws(factors, np.tile(np.arange(4), (9, 1)))
    images = photos(9)
    torch.testing.assert_close(color_jitter(images, draws), plain_loop(images, draws), atol=1e-5, rtol=0)


def test_groups_of_a_batch_equal_single_images() -> None:
    images, draws = photos(32), draw(32, seed=3)
    draws.factors[5] = [1, 1, 1, 0]  # an image that stays as it is
    grouped = module._jitter_in_groups(images, draws, module._OPERATIONS)
    torch.testing.assert_close(grouped, color_jitter(images, draws), atol=1e-6, rtol=0)
    torch.testing.assert_close(grouped[5], images[5], atol=0, rtol=0)


@pytest.mark.slow
def test_compiled_operations_agree() -> None:
    images, draws = photos(32), draw(32, seed=3)
    eager = color_jitter(images, draws)
    torch.testing.assert_close(color_jitter(images, draws, compile=True), eager, atol=1e-5, rtol=0)
    grouped = module._jitter_in_groups(images, draws, module._compiled_operations())
    torch.testing.assert_close(grouped, eager, atol=1e-5, rtol=0)


def test_bytes_are_read_as_fractions_and_inputs_stay() -> None:
    images, draws = (photos(6) * 255).to(torch.uint8), draw(6)
    before = images.clone()
    expected = color_jitter(images / 255, draws)
    for given in (images, images.contiguous(memory_format=torch.channels_last)):
        assert torch.equal(color_jitter(given, draws), expected)
    assert torch.equal(images, before)
    result = torch.empty_like(expected)
    assert color_jitter(images, draws, out=result) is result
    assert torch.equal(result, expected)


def test_result_does_not_depend_on_threads_or_batch() -> None:
    images, draws = photos(6, 300, 300), draw(6)
    threads = torch.get_num_threads()
    try:
        results = []
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            results.append(color_jitter(images, draws))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])
    assert torch.equal(color_jitter(images[2:3], draws.rows(slice(2, 3)))[0], results[0][2])


def test_draws_are_distributed_as_torchvisions() -> None:
    draws = draw(4000, strength=1.3, hue=0.2)
    jitter = v2.ColorJitter(1.3, 1.3, 1.3, 0.2)
    torch.manual_seed(0)
    theirs = [jitter.make_params([]) for _ in range(2000)]
    for column, name in enumerate(["brightness", "contrast", "saturation", "hue"]):
        their_factors = [params[f"{name}_factor"] for params in theirs]
        assert stats.ks_2samp(draws.factors[:, column], their_factors).pvalue > 1e-3
    _, counts = np.unique(draws.order, axis=0, return_counts=True)
    assert len(counts) == 24
    assert stats.chisquare(counts).pvalue > 1e-3


def test_zero_strength_changes_nothing() -> None:
    images = photos(4)
    assert torch.equal(color_jitter(images, draw(4, strength=0, hue=0)), images)


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 1, 8, 8), (3, 3, 8, 8)])
def test_shapes_are_checked(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"must be \(b, 3, h, w\) with b = 2"):
        color_jitter(torch.zeros(shape), draw(2))
