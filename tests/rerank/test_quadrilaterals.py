"""Random views of one photo: what they share, counted point by point and seen in the pictures."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vgsearch.rerank.homography import SQUARE, warp_images
from vgsearch.rerank.quadrilaterals import NUM_UNIFORMS, intersections, trapezoids, two_views

uniforms = st.lists(st.floats(0, 0.999), min_size=NUM_UNIFORMS, max_size=NUM_UNIFORMS)


def inside(corners, x, y):
    """Whether points are in a trapezoid with vertical sides."""
    (left, top_left), (right, top_right), (_, low_right), (_, low_left) = corners.tolist()
    along = (x - left) / (right - left)
    top, low = top_left + along * (top_right - top_left), low_left + along * (low_right - low_left)
    return (x >= left - 1e-6) & (x <= right + 1e-6) & (y >= top - 1e-6) & (y <= low + 1e-6)


@settings(deadline=None, max_examples=40)
@given(uniforms, st.floats(0, 0.9))
def test_the_common_part_is_where_both_are(drawn, k):
    (pair,) = trapezoids(np.array([drawn]), k)
    assert (pair.abs() <= 1).all()
    assert (pair.abs() >= 1 - k - 1e-6).all()
    (common,) = intersections(pair[None])
    heights = np.linspace(-1, 1, 2001)
    for x, top, low in (
        (common[0, 0], common[0, 1], common[3, 1]),
        (common[1, 0], common[1, 1], common[2, 1]),
    ):
        both = inside(pair[0], x.item(), heights) & inside(pair[1], x.item(), heights)
        assert abs(heights[both].min() - top.item()) < 2e-3
        assert abs(heights[both].max() - low.item()) < 2e-3
        outside = x.item() + 1e-3 * np.sign(x.item())
        assert not (inside(pair[0], outside, heights) & inside(pair[1], outside, heights)).any()


def test_without_k_both_are_the_whole_image():
    pair = trapezoids(np.full((1, NUM_UNIFORMS), 0.7), 0.0)
    torch.testing.assert_close(pair, torch.tensor(SQUARE).expand(1, 2, 4, 2))


def test_corners_of_the_common_part_look_alike_in_both_views():
    rng = np.random.default_rng(0)
    pair = trapezoids(rng.random((4, NUM_UNIFORMS)), 0.6)
    first, second, in_first, in_second = two_views(pair)
    common = intersections(pair)
    # A photo whose colours say where one is: what is seen at a corner is the corner's own place.
    side = (2 * torch.arange(200.0) + 1) / 200 - 1
    photo = torch.stack(torch.meshgrid(side, side, indexing="xy")).expand(4, 2, 200, 200)
    for maps, corners in ((first, in_first), (second, in_second)):
        view = warp_images(photo, maps)
        inner = corners * 0.98  # off the border, where what lies outside is mixed in
        seen = torch.nn.functional.grid_sample(view, inner[:, None], align_corners=False)[:, :, 0]
        assert (seen.transpose(1, 2) - common).abs().max() < 0.06
        assert (corners.abs() <= 1 + 1e-4).all()
