"""Random perspective against torchvision: corners as it draws them, pixels by its own function."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torchvision import transforms
from torchvision.transforms import functional as reference

from vgsearch.data.perspective import NUM_UNIFORMS, PerspectiveDraws, corner_points, draw_perspective, warp


def draw(
    count: int, *, distortion_scale: float = 0.5, probability: float = 1.0, seed: int = 0
) -> PerspectiveDraws:
    uniforms = np.random.default_rng(seed).random((count, NUM_UNIFORMS))
    return draw_perspective(uniforms, distortion_scale=distortion_scale, probability=probability)


def photos(count: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 7, 7, generator=generator)
    return torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (48, 64), (33, 21)])
@pytest.mark.parametrize("distortion_scale", [0.1, 0.5, 0.6])
def test_images_equal_torchvisions_with_the_same_corners(
    height: int, width: int, distortion_scale: float
) -> None:
    images, draws = photos(12, height, width), draw(12, distortion_scale=distortion_scale)
    corners = [[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]]
    expected = torch.stack(
        [
            reference.perspective(image, corners, to, reference.InterpolationMode.BILINEAR, fill=None)
            for image, to in zip(images, corner_points(draws, height, width).tolist(), strict=True)
        ]
    )
    result = warp(images.clone(), draws)
    # Its own maps come from a least-squares solution in float32.
    torch.testing.assert_close(result, expected, atol=2e-3, rtol=0)
    assert (result - images).abs().max() > 0.05


@pytest.mark.parametrize(("height", "width"), [(64, 64), (40, 90)])
def test_corners_are_distributed_as_torchvisions(height: int, width: int) -> None:
    ours = corner_points(draw(4000), height, width).reshape(4000, 8)
    torch.manual_seed(0)
    theirs = np.array(
        [transforms.RandomPerspective.get_params(width, height, 0.5)[1] for _ in range(1500)]
    ).reshape(1500, 8)
    for column in range(8):
        assert ours[:, column].min() == theirs[:, column].min()
        assert ours[:, column].max() == theirs[:, column].max()
        assert stats.ks_2samp(ours[:, column], theirs[:, column]).pvalue > 1e-3


def test_an_image_does_not_depend_on_its_neighbours() -> None:
    images, draws = photos(6, 40, 40), draw(6, probability=0.5)
    assert 0 < draws.applies.sum() < 6
    whole = warp(images.clone(), draws)
    for i in range(6):
        assert torch.equal(warp(images[i : i + 1].clone(), draws.rows(slice(i, i + 1)))[0], whole[i])
        assert torch.equal(whole[i], images[i]) == (not draws.applies[i])


def test_strength_and_probability() -> None:
    images = photos(8, 32, 32)
    assert torch.equal(warp(images.clone(), draw(8, distortion_scale=0)), images)
    assert torch.equal(warp(images.clone(), draw(8, probability=0)), images)
    assert 0.25 < draw(1000, probability=0.3).applies.mean() < 0.35


def test_no_map_is_degenerate_up_to_the_largest_scale() -> None:
    # Corners at the ends of their ranges, all 256 combinations, on small and odd sides.
    ends = np.array(np.meshgrid(*[[0.0, 1 - 1e-9]] * 8)).reshape(8, -1).T
    uniforms = np.concatenate([ends, np.zeros((256, 1))], axis=1)
    draws = draw_perspective(uniforms, distortion_scale=0.6, probability=1)
    for side in (16, 17, 64):
        corners = corner_points(draws, side, side).astype(float)
        edges = np.roll(corners, -1, axis=1) - corners
        turns = np.roll(edges, -1, axis=1)
        cross = edges[..., 0] * turns[..., 1] - edges[..., 1] * turns[..., 0]
        assert (cross > 0).all()  # every quadrilateral is convex, and turns the same way
        assert torch.isfinite(warp(torch.rand(256, 3, side, side), draws)).all()


def test_mixed_precision_around_it_changes_nothing() -> None:
    images, draws = photos(3, 24, 24), draw(3)
    whole = warp(images.clone(), draws)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(warp(images.clone(), draws), whole)
