"""Self-supervision: two random views of a photo, and where what both show lies in each (paper, 3.3)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vgsearch.rerank.homography import homography_to, project

NUM_UNIFORMS = 12
_EACH = NUM_UNIFORMS // 2


def trapezoids(uniforms: NDArray[np.float64], k: float) -> Tensor:
    """Turn uniform numbers into two trapezoids for each photo, their sides vertical.

    Each side's place and each corner's height lie between 1 - k and 1 from the middle; with k = 0 both are
    the whole image.

    Args:
        uniforms: float64 (b, NUM_UNIFORMS) in [0, 1).
        k: In [0, 1), how far they move.

    Returns:
        float32 (b, 2, 4, 2): top left, top right, bottom right, bottom left.
    """
    out = torch.from_numpy(1.0 - k * uniforms.reshape(-1, 2, _EACH)).float()
    left, right = -out[..., 0], out[..., 1]
    x = torch.stack([left, right, right, left], dim=-1)
    y = torch.stack([-out[..., 2], -out[..., 3], out[..., 4], out[..., 5]], dim=-1)
    return torch.stack([x, y], dim=-1)


def intersections(pairs: Tensor) -> Tensor:
    """What two trapezoids have in common, by its corners at its left and right ends.

    Where their upper or lower sides cross, the common part has a corner between, which is left out as in
    the authors' code.

    Args:
        pairs: float32 (b, 2, 4, 2), see `trapezoids`.

    Returns:
        float32 (b, 4, 2).
    """
    left = pairs[:, :, 0, 0].amax(dim=1)
    right = pairs[:, :, 1, 0].amin(dim=1)
    top_left, top_right = (_height(pairs[:, :, 0], pairs[:, :, 1], x).amax(dim=1) for x in (left, right))
    low_left, low_right = (_height(pairs[:, :, 3], pairs[:, :, 2], x).amin(dim=1) for x in (left, right))
    x = torch.stack([left, right, right, left], dim=1)
    y = torch.stack([top_left, top_right, low_right, low_left], dim=1)
    return torch.stack([x, y], dim=-1)


def _height(left: Tensor, right: Tensor, x: Tensor) -> Tensor:
    """How high sides from `left` to `right`, (b, 2, 2), are at x (b,): (b, 2)."""
    along = (x[:, None] - left[..., 0]) / (right[..., 0] - left[..., 0])
    return left[..., 1] + along * (right[..., 1] - left[..., 1])


def two_views(pairs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The homographies of both views of each photo, and where the common part lies in them.

    Args:
        pairs: float32 (b, 2, 4, 2), see `trapezoids`.

    Returns:
        Homographies to warp by, float32 (b, 3, 3), of the first and of the second view, and the common part
        in each, float32 (b, 4, 2).
    """
    common = intersections(pairs)
    first, second = homography_to(pairs[:, 0]), homography_to(pairs[:, 1])
    in_first, in_second = (project(torch.linalg.inv(each), common) for each in (first, second))
    return first, second, in_first, in_second
