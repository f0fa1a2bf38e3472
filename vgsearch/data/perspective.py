"""Random perspective of augmented crops: the corners move inwards, what is left free turns black.

Corners are drawn as in torchvision's `RandomPerspective`, and the images are those of its
`functional.perspective` (bilinear, without antialiasing; tested against it), for a whole batch at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

NUM_UNIFORMS = 9

# Top left, top right, bottom right, bottom left: on which side each corner lies, horizontally and vertically.
_FAR_SIDE = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])


@dataclass(frozen=True)
class PerspectiveDraws:
    """What is drawn for each of b images before its size is known.

    Attributes:
        inset: float64 (b, 4, 2) in [0, 1), how far each corner moves inwards, horizontally and vertically, as
            a part of the farthest.
        applies: bool (b,), whether the image is distorted at all.
        distortion_scale: The farthest that a corner moves, as a part of half the image's side.
    """

    inset: npt.NDArray[np.float64]
    applies: npt.NDArray[np.bool_]
    distortion_scale: float

    def __len__(self) -> int:
        return len(self.applies)

    def rows(self, rows: slice | npt.NDArray[np.int64]) -> PerspectiveDraws:
        """Take the draws of some of the images."""
        return PerspectiveDraws(self.inset[rows], self.applies[rows], self.distortion_scale)


def draw_perspective(
    uniforms: npt.NDArray[np.float64], *, distortion_scale: float, probability: float
) -> PerspectiveDraws:
    """Turn uniform numbers into draws.

    Args:
        uniforms: float64 (b, NUM_UNIFORMS) in [0, 1).
        distortion_scale: In [0, 1], 0 leaves every image as it is. From 2/3 on three corners may come to lie
            on a line, and no perspective takes a square there.
        probability: Of a distortion.
    """
    applies = (uniforms[:, 8] < probability) & (distortion_scale > 0)
    return PerspectiveDraws(uniforms[:, :8].reshape(-1, 4, 2), applies, distortion_scale)


def corner_points(draws: PerspectiveDraws, height_px: int, width_px: int) -> npt.NDArray[np.int64]:
    """Where the corners of images of one size go.

    Returns:
        int64 (b, 4, 2): x and y in pixels of top left, top right, bottom right and bottom left. Each moves
        by a whole number of pixels, all equally likely, from 0 to int(distortion_scale * (side // 2)).
    """
    sides = np.array([width_px, height_px])
    farthest = (draws.distortion_scale * (sides // 2)).astype(np.int64)
    moved = (draws.inset * (farthest + 1)).astype(np.int64)
    return np.where(_FAR_SIDE == 1, sides - 1 - moved, moved)


def warp(images: Tensor, draws: PerspectiveDraws) -> Tensor:
    """Distort images in place.

    Args:
        images: float32 (b, 3, h, w) on any device.
        draws: b rows.

    Returns:
        `images`.
    """
    rows = np.flatnonzero(draws.applies)
    if len(rows) == 0:
        return images
    height_px, width_px = images.shape[2:]
    corners = corner_points(draws.rows(rows), height_px, width_px).astype(np.float64)
    centres = corners.mean(axis=1, keepdims=True)
    maps = _maps_back(corners - centres, height_px, width_px)
    grid = _sampling_grid(
        torch.from_numpy(maps).to(images.device),
        torch.from_numpy(centres[:, 0].astype(np.float32)).to(images.device),
        height_px,
        width_px,
    )
    places = torch.from_numpy(rows).to(images.device)
    # Mixed precision, if a caller is inside it, would blur grey levels.
    with torch.autocast(images.device.type, enabled=False):
        images[places] = functional.grid_sample(images[places], grid, align_corners=False)
    return images


def _maps_back(corners: npt.NDArray[np.float64], height_px: int, width_px: int) -> npt.NDArray[np.float32]:
    """The projective maps that take moved corners to those of the image, float32 (m, 3, 3).

    Of (x', y') = (a x + b y + c, d x + e y + f) / (g x + h y + 1) each corner gives two linear equations:
    a x + b y + c - x' (g x + h y) = x' and the same for y'.

    Args:
        corners: float64 (m, 4, 2), relative to a point between them: there the denominator cannot be zero.
        height_px: of the image.
        width_px: of the image.
    """
    x, y = corners[..., 0], corners[..., 1]
    to_x, to_y = (_FAR_SIDE * [width_px - 1, height_px - 1]).T.astype(np.float64)
    one, none = np.ones_like(x), np.zeros_like(x)
    for_x = np.stack([x, y, one, none, none, none, -to_x * x, -to_x * y], axis=-1)
    for_y = np.stack([none, none, none, x, y, one, -to_y * x, -to_y * y], axis=-1)
    equations = np.concatenate([for_x, for_y], axis=1)
    wanted = np.broadcast_to(np.concatenate([to_x, to_y])[:, None], (len(corners), 8, 1))
    solved = np.linalg.solve(equations, wanted)[..., 0]
    return np.concatenate([solved, np.ones((len(corners), 1))], axis=1).reshape(-1, 3, 3).astype(np.float32)


def _sampling_grid(maps: Tensor, centres: Tensor, height_px: int, width_px: int) -> Tensor:
    """Where each pixel's centre comes from, in `grid_sample`'s coordinates, float32 (m, h, w, 2)."""
    x = torch.arange(width_px, device=maps.device) + 0.5 - centres[:, 0, None, None]
    y = torch.arange(height_px, device=maps.device)[:, None] + 0.5 - centres[:, 1, None, None]
    across, down, scale = (
        row[:, 0, None, None] * x + row[:, 1, None, None] * y + row[:, 2, None, None]
        for row in maps.unbind(dim=1)
    )
    grid = torch.stack([across / scale * (2 / width_px) - 1, down / scale * (2 / height_px) - 1], dim=-1)
    # On the horizon and beyond it there is nothing to see; 2 is well outside the image.
    return torch.where(scale[..., None] > 1e-6, grid, 2.0).clamp_(-2, 2)
