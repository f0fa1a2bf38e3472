"""Fourier domain adaptation: a photo keeps its content and takes the style of another one.

Yang & Soatto (CVPR 2020), equations 3 and 4: of a photo's spectrum the phases stay, and the amplitudes of the
lowest frequencies become those of the style photo. Their window is a square of 2 b + 1 frequencies a side
around zero, b = floor(min(h, w) beta), as in their numpy code. (In their text each side has its own b; their
code for torch leaves frequency +b out, which a real photo's symmetric spectrum cannot.)

Everything outside the window stays as it is. So the result is the photo plus what changes inside, and only
the window's few rows and columns are ever transformed in both directions: half of them, since the spectrum of
a real photo is Hermitian and so is the window. Means are taken out before and put back as the coefficient of
frequency zero, which keeps float32 within about 1e-6 of the range of float64.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Channel values of one chunk: what a core's cache holds, and 128 MiB of a GPU's memory.
_VALUES_AT_ONCE = {"cpu": 2**20, "cuda": 2**25}


def window_half_width(beta: float, height_px: int, width_px: int) -> int:
    """How many frequencies each way from zero are swapped; 0 swaps the mean colours alone.

    Raises:
        ValueError: `beta` is outside [0, 1).
    """
    if not 0 <= beta < 1:
        raise ValueError(f"0 <= beta < 1 must hold, but got ({beta=})")
    return math.floor(min(height_px, width_px) * beta)


def swap_low_amplitudes(images: Tensor, styles: Tensor, beta: float) -> Tensor:
    """Give each image the low-frequency amplitudes of its style, channel by channel.

    Args:
        images: uint8 or float32 (b, c, h, w) on any device, in any range; 0 to 255 in the authors' code.
        styles: The same shape, device and range.
        beta: size of the window in [0, 1), see `window_half_width`; from 0.5 on it is the whole spectrum.

    Returns:
        float32 (b, c, h, w) in the range of the images, but not clamped to it.

    Raises:
        ValueError: The shapes differ, or `beta` is outside its range.
    """
    if images.ndim != 4 or images.shape != styles.shape:
        raise ValueError(
            f"images and styles must be of one shape (b, c, h, w), but got {tuple(images.shape)} and "
            f"{tuple(styles.shape)}"
        )
    half = window_half_width(beta, *images.shape[2:])
    result = torch.empty(images.shape, dtype=torch.float32, device=images.device)
    at_once = _VALUES_AT_ONCE.get(images.device.type, _VALUES_AT_ONCE["cuda"])
    step = max(1, at_once // max(1, images[:1].numel()))
    for start in range(0, len(images), step):
        rows = slice(start, start + step)
        torch.add(images[rows], _change(images[rows].float(), styles[rows].float(), half), out=result[rows])
    return result


def in_style_of(images: Tensor, styles: Tensor, beta: float) -> Tensor:
    """`swap_low_amplitudes` from photo to photo.

    The swap overshoots where the style's contrast meets the photo's; what leaves the range is cut off, as in
    a photo. The authors train on values that are not; here colour jitter follows, which is defined on photos.

    Args:
        images: uint8 (b, 3, h, w), or float32 in [0, 1].
        styles: The same of as many style photos.
        beta: See `swap_low_amplitudes`.

    Returns:
        float32 (b, 3, h, w) in [0, 1].
    """
    if images.dtype == torch.uint8:
        return swap_low_amplitudes(images, styles, beta).clamp_(0, 255).div_(255)
    return swap_low_amplitudes(images, styles, beta).clamp_(0, 1)


def _change(images: Tensor, styles: Tensor, half: int) -> Tensor:
    """What the swap adds to each image, float32 (b, c, h, w)."""
    spectrum = _low_frequencies(images, half)
    amplitudes = _low_frequencies(styles, half).abs()
    # The phase of a coefficient that is exactly zero is zero, as numpy's.
    change = torch.polar(amplitudes, spectrum.angle()) - spectrum
    return _from_low_frequencies(change, half, *images.shape[2:])


def _low_frequencies(images: Tensor, half: int) -> Tensor:
    """Coefficients of the window's right half, complex64 (b, c, rows, columns).

    Rows are the vertical frequencies 0 to `half` and then -`half` to -1, columns the horizontal 0 to `half`.
    """
    height_px, width_px = images.shape[2:]
    mean = images.mean(dim=(2, 3), keepdim=True)
    columns = torch.fft.rfft(images - mean, dim=3)[..., : half + 1]
    spectrum: Tensor = torch.fft.fft(columns, dim=2)
    spectrum[..., 0, 0] = mean[..., 0, 0] * (height_px * width_px)
    if 2 * half + 1 >= height_px:
        return spectrum
    return torch.cat([spectrum[..., : half + 1, :], spectrum[..., height_px - half :, :]], dim=2)


def _from_low_frequencies(window: Tensor, half: int, height_px: int, width_px: int) -> Tensor:
    """The image, float32 (b, c, h, w), whose spectrum is zero outside the window."""
    if window.shape[2] < height_px:
        gap = window.new_zeros((*window.shape[:2], height_px - window.shape[2], window.shape[3]))
        window = torch.cat([window[..., : half + 1, :], gap, window[..., half + 1 :, :]], dim=2)
    # A shorter row of coefficients is filled up with zeros.
    image: Tensor = torch.fft.irfft(torch.fft.ifft(window, dim=2), n=width_px, dim=3)
    return image
