"""Homographies against the null space of the DLT, warping against torch's own affine grids."""

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.rerank.foreign import homography_by_svd
from vgsearch.rerank.homography import SQUARE, homography_to, project, warp_images

moves = st.lists(st.floats(-0.45, 0.45), min_size=8, max_size=8)


def near_square(*offsets):
    return torch.tensor(SQUARE) + torch.tensor(offsets).reshape(-1, 4, 2)


@settings(deadline=None, max_examples=50)
@given(moves)
def test_it_is_the_null_space_of_the_equations(offsets):
    to = near_square(*offsets)
    expected = homography_by_svd(np.array(SQUARE), to[0].double().numpy())
    np.testing.assert_allclose(homography_to(to)[0].numpy(), expected, atol=2e-4)
    # ... and takes every corner where it should be.
    got = project(homography_to(to), torch.tensor(SQUARE)[None])
    torch.testing.assert_close(got, to, rtol=0, atol=1e-4)


def test_the_identity_changes_nothing():
    images = torch.rand(2, 3, 9, 13)
    maps = homography_to(torch.tensor(SQUARE).expand(2, 4, 2))
    torch.testing.assert_close(maps, torch.eye(3).expand(2, 3, 3), rtol=0, atol=1e-6)
    torch.testing.assert_close(warp_images(images, maps), images, rtol=0, atol=1e-5)


def test_a_parallelogram_is_an_affine_warp():
    matrix = torch.tensor([[0.7, 0.1, 0.2], [-0.2, 0.9, -0.1]])
    corners = torch.tensor(SQUARE) @ matrix[:, :2].T + matrix[:, 2]
    images = torch.rand(1, 3, 24, 31)
    grid = F.affine_grid(matrix[None], [1, 3, 24, 31], align_corners=False)
    expected = F.grid_sample(images, grid, align_corners=False)
    got = warp_images(images, homography_to(corners[None]))
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-4)


def test_gradients_are_those_of_finite_differences():
    to = near_square(0.1, -0.2, 0.05, 0.1, -0.1, 0.2, 0.15, -0.1)

    def third_entry(offset):
        moved = to.clone()
        moved[0, 1, 0] += offset
        return homography_to(moved)[0, 2, 0].item()

    leaf = to.clone().requires_grad_()
    homography_to(leaf)[0, 2, 0].backward()
    numeric = (third_entry(1e-2) - third_entry(-1e-2)) / 2e-2
    assert abs(leaf.grad[0, 1, 0].item() - numeric) < 1e-2 * abs(numeric) + 1e-3


def test_no_area_gives_black_and_no_error():
    point = torch.zeros(1, 4, 2)
    maps = homography_to(torch.cat([point, near_square(*[0.0] * 8)]))
    warped = warp_images(torch.ones(2, 3, 8, 8), maps)
    assert warped.isfinite().all()
    torch.testing.assert_close(warped[1], torch.ones(3, 8, 8), rtol=0, atol=1e-5)
