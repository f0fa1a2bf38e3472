"""Random resized crop and horizontal flip, per image on the CPU or for a whole batch on its device.

Boxes are drawn as in torchvision's `RandomResizedCrop`: up to ten tries of (part of the area, aspect ratio),
the first that fits the image counts, a centred box of the nearest allowed aspect ratio otherwise. Resampling
is bilinear with antialiasing (a triangle filter as wide as the scale).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

_TRIES = 10
_ASPECT_MIN, _ASPECT_MAX = 3 / 4, 4 / 3
_PIXELS_AT_ONCE = 2**25  # float32 channel values that a device holds of one chunk of originals: 128 MiB

NUM_UNIFORMS = 2 * _TRIES + 3


@dataclass(frozen=True)
class CropDraws:
    """What is drawn for each of b images before its size is known.

    Attributes:
        area_fraction: float64 (b, 10), part of the image's area, one per try.
        aspect: float64 (b, 10), width / height, one per try.
        position: float64 (b, 2) in [0, 1), where the box lies between top and bottom, left and right.
        flip: bool (b,), whether the crop is mirrored left to right.
    """

    area_fraction: npt.NDArray[np.float64]
    aspect: npt.NDArray[np.float64]
    position: npt.NDArray[np.float64]
    flip: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.flip)

    def rows(self, rows: slice | npt.NDArray[np.int64]) -> CropDraws:
        """Take the draws of some of the images."""
        return CropDraws(self.area_fraction[rows], self.aspect[rows], self.position[rows], self.flip[rows])

    def followed_by(self, others: CropDraws) -> CropDraws:
        """These draws and those of more images behind them."""
        return CropDraws(
            np.concatenate([self.area_fraction, others.area_fraction]),
            np.concatenate([self.aspect, others.aspect]),
            np.concatenate([self.position, others.position]),
            np.concatenate([self.flip, others.flip]),
        )


def draw_crop(uniforms: npt.NDArray[np.float64], *, scale_min: float, hflip: float) -> CropDraws:
    """Turn uniform numbers into crop draws.

    Args:
        uniforms: float64 (b, NUM_UNIFORMS) in [0, 1).
        scale_min: The least part of the area, in (0, 1]; the part is uniform in [scale_min, 1].
        hflip: Probability of a flip.
    """
    log_min, log_max = math.log(_ASPECT_MIN), math.log(_ASPECT_MAX)
    return CropDraws(
        area_fraction=scale_min + uniforms[:, :_TRIES] * (1 - scale_min),
        aspect=np.exp(log_min + uniforms[:, _TRIES : 2 * _TRIES] * (log_max - log_min)),
        position=uniforms[:, 2 * _TRIES : 2 * _TRIES + 2],
        flip=uniforms[:, 2 * _TRIES + 2] < hflip,
    )


def crop_boxes(draws: CropDraws, height_px: int, width_px: int) -> npt.NDArray[np.int64]:
    """Place the boxes in images of one size.

    Returns:
        int64 (b, 4): top, left, height, width; never empty, never over the edge.
    """
    area = draws.area_fraction * (height_px * width_px)
    widths = np.rint(np.sqrt(area * draws.aspect)).astype(np.int64)
    heights = np.rint(np.sqrt(area / draws.aspect)).astype(np.int64)
    fits = (widths > 0) & (widths <= width_px) & (heights > 0) & (heights <= height_px)
    first = fits.argmax(axis=1)[:, None]
    found = fits.any(axis=1)

    centred_height, centred_width = _centred_size(height_px, width_px)
    height = np.where(found, np.take_along_axis(heights, first, axis=1)[:, 0], centred_height)
    width = np.where(found, np.take_along_axis(widths, first, axis=1)[:, 0], centred_width)
    top_range, left_range = height_px - height, width_px - width
    top = np.where(found, (draws.position[:, 0] * (top_range + 1)).astype(np.int64), top_range // 2)
    left = np.where(found, (draws.position[:, 1] * (left_range + 1)).astype(np.int64), left_range // 2)
    return np.stack([top, left, height, width], axis=1)


def _centred_size(height_px: int, width_px: int) -> tuple[int, int]:
    """Largest box with an allowed aspect ratio."""
    if width_px / height_px < _ASPECT_MIN:
        return max(1, round(width_px / _ASPECT_MIN)), width_px
    if width_px / height_px > _ASPECT_MAX:
        return height_px, max(1, round(height_px * _ASPECT_MAX))
    return height_px, width_px


def crop_and_flip(image: Tensor, draw: CropDraws, out_px: int) -> Tensor:
    """Crop, resize and flip one image on the CPU.

    Args:
        image: uint8 (3, h, w), any strides.
        draw: One row.
        out_px: Side of the result.

    Returns:
        uint8 (3, out_px, out_px); equal to torchvision's `resized_crop` with antialiasing.
    """
    top, left, height, width = crop_boxes(draw, image.shape[1], image.shape[2])[0].tolist()
    box = image[None, :, top : top + height, left : left + width]
    crop = functional.interpolate(box, size=(out_px, out_px), mode="bilinear", antialias=True)[0]
    return crop.flip(-1) if draw.flip[0] else crop


def crop_and_flip_batch(images: Tensor, draws: CropDraws, out_px: int) -> Tensor:
    """Crop, resize and flip images of one size on their device, as two matrix products.

    Agrees with `crop_and_flip` to within one grey level or two: that one rounds between its two passes.

    Args:
        images: uint8 (b, 3, h, w).
        draws: b rows.
        out_px: Side of the results.

    Returns:
        uint8 (b, 3, out_px, out_px) on the same device.
    """
    _, channels, height_px, width_px = images.shape
    boxes = torch.from_numpy(crop_boxes(draws, height_px, width_px)).to(images.device)
    flip = torch.from_numpy(draws.flip).to(images.device)
    result = torch.empty((len(images), channels, out_px, out_px), dtype=torch.uint8, device=images.device)
    rows_at_once = max(1, _PIXELS_AT_ONCE // (channels * height_px * width_px))
    for start in range(0, len(images), rows_at_once):
        rows = slice(start, start + rows_at_once)
        top, left, height, width = boxes[rows].unbind(dim=1)
        vertical = _resize_matrices(top, height, height_px, out_px)
        horizontal = _resize_matrices(left, width, width_px, out_px)
        horizontal = torch.where(flip[rows, None, None], horizontal.flip(1), horizontal)
        # Mixed precision, if a caller is inside it, would blur grey levels.
        with torch.autocast(images.device.type, enabled=False):
            values = vertical[:, None] @ images[rows].float() @ horizontal[:, None].transpose(2, 3)
        result[rows] = values.round_().clamp_(0, 255).to(torch.uint8)
    return result


def _resize_matrices(start: Tensor, length: Tensor, in_px: int, out_px: int) -> Tensor:
    """Antialiased bilinear weights, float32 (b, out_px, in_px), rows summing to 1.

    Output pixel i looks at start + (i + 1/2) length / out_px through a triangle whose half width is one input
    pixel, or one output pixel when shrinking; only pixels of the box count.
    """
    start, length = start[:, None, None], length[:, None, None]
    scale = length / out_px
    centre = (torch.arange(out_px, device=start.device)[:, None] + 0.5) * scale
    pixel = torch.arange(in_px, device=start.device) - start
    weights = (1 - (pixel + 0.5 - centre).abs() / scale.clamp(min=1)).clamp_(min=0)
    weights = weights * ((pixel >= 0) & (pixel < length))
    return weights / weights.sum(dim=2, keepdim=True)
