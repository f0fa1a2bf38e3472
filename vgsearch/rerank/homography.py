"""Four-point homographies and the warping of images by them, a batch at a time.

Coordinates are normalised: (-1, -1) is the top left corner of an image and (1, 1) the bottom right one.
Quadrilaterals are top left, top right, bottom right, bottom left.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SQUARE = ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0))
"""The corners of the whole image."""

_HORIZON = 1e-8
_OUTSIDE = 2.0


def homography_to(quadrilaterals: Tensor) -> Tensor:
    """The projective maps that take the corners of the image to given points.

    This is the direct linear transform of four points (Hartley & Zisserman, 4.1) with the last entry at 1: of
    (u, v) = (a x + b y + c, d x + e y + f) / (g x + h y + 1) each corner gives two linear equations.

    Args:
        quadrilaterals: floating (b, 4, 2).

    Returns:
        float32 (b, 3, 3), with a gradient. Where three corners lie on a line there is no such map; it has
        entries that are not finite or are huge then.
    """
    with torch.autocast(quadrilaterals.device.type, enabled=False):
        to = quadrilaterals.float()
        x, y = torch.tensor(SQUARE, device=to.device).T
        one, none = torch.ones_like(x), torch.zeros_like(x)
        for_x = torch.stack([x, y, one, none, none, none], dim=1)
        for_y = torch.stack([none, none, none, x, y, one], dim=1)
        known = torch.cat([for_x, for_y]).expand(len(to), 8, 6)
        wanted = to.transpose(1, 2).reshape(-1, 8, 1)
        corners = torch.stack([x, y], dim=1).repeat(2, 1)
        solved = torch.linalg.solve_ex(torch.cat([known, -wanted * corners], dim=2), wanted)[0][..., 0]
        return torch.cat([solved, torch.ones_like(solved[:, :1])], dim=1).reshape(-1, 3, 3)


def project(homographies: Tensor, points: Tensor) -> Tensor:
    """Apply projective maps to points.

    Args:
        homographies: float32 (b, 3, 3).
        points: float32 (b, n, 2) or (1, n, 2).

    Returns:
        float32 (b, n, 2). A point on the horizon is only scaled by 1.
    """
    return _projected(homographies, points[..., 0], points[..., 1])


def _projected(homographies: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Apply maps (b, 3, 3) to points whose coordinates broadcast to (b, ...); gives (b, ..., 2)."""
    entries = homographies.reshape(-1, 3, 3, *(1,) * (x.ndim - 1))
    # x and its factor first: in a grid of pixels, where x has one row alone, that is next to no work.
    across, down, scale = (
        entries[:, row, 0] * x + entries[:, row, 2] + entries[:, row, 1] * y for row in range(3)
    )
    scale = torch.where(scale.abs() <= _HORIZON, 1.0, scale)
    return torch.stack([across / scale, down / scale], dim=-1)


def warp_images(images: Tensor, homographies: Tensor) -> Tensor:
    """Look at each image through its homography: what its quadrilateral encloses fills the whole image.

    Bilinear, zero where the photo ends, which is its mean colour if it was normalised before. Pixels are
    sampled at their centres, so that the identity changes nothing, as by kornia's `homography_warp` from 0.9
    on; older ones, with which the authors trained, stretch every image by one pixel.

    Args:
        images: float32 (b, c, h, w).
        homographies: float32 (b, 3, 3), from the warped image to the photo; see `homography_to`. All black
            where one is not finite.

    Returns:
        float32 (b, c, h, w), channels last in memory where the images are.
    """
    height_px, width_px = images.shape[2:]
    with torch.autocast(images.device.type, enabled=False):
        x, y = _centres(width_px, images.device), _centres(height_px, images.device)
        grid = _projected(homographies, x[None, None, :], y[None, :, None])
        grid = torch.nan_to_num(grid, nan=_OUTSIDE, posinf=_OUTSIDE, neginf=_OUTSIDE)
        return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _centres(side_px: int, device: torch.device) -> Tensor:
    """Where the centres of a row of pixels lie between -1 and 1, float32 (side_px,)."""
    return (2 * torch.arange(side_px, device=device) + 1) / side_px - 1
