"""Images from disk as uint8 tensors; every failure is an `ImageError` that names the file.

An EXIF orientation is ignored, as in CosPlace: published descriptors and recalls were made that way.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from vgsearch.errors import ImageError

MAX_PIXELS = 64_000_000
"""Largest image that is decoded; a header can promise gigabytes, so it is read first."""


def read_image(path: Path) -> torch.Tensor:
    """Decode an image as RGB; grey, CMYK and palette images are converted, transparency is dropped.

    Returns:
        uint8 (3, h, w). Its strides are those of interleaved pixels (`channels_last`), which saves a copy.

    Raises:
        ImageError: The file is missing, empty, not an image, truncated, damaged or larger than `MAX_PIXELS`.
    """
    with _open(path) as image:
        try:
            pixels = np.array(image if image.mode == "RGB" else image.convert("RGB"))
        except Exception as error:  # Pillow's parsers raise nearly anything on damaged files
            raise ImageError(
                f"{path}: truncated or damaged image ({error}); copy it again or remove it"
            ) from error
    return torch.from_numpy(pixels).permute(2, 0, 1)


def image_size(path: Path) -> tuple[int, int]:
    """Read height and width from the header alone.

    Raises:
        ImageError: The file is missing, empty, not an image or larger than `MAX_PIXELS`.
    """
    with _open(path) as image:
        return image.height, image.width


def _open(path: Path) -> Image.Image:
    """Read the header; no pixel is decoded yet."""
    try:
        image = Image.open(path)
    except UnidentifiedImageError as error:
        if path.stat().st_size == 0:
            raise ImageError(f"{path}: the file is empty (0 bytes); copy it again or remove it") from error
        raise ImageError(f"{path}: not an image that can be read; remove it or convert it to JPEG") from error
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such file") from error
    except Image.DecompressionBombError as error:
        raise ImageError(
            f"{path}: too large, at most {MAX_PIXELS:,} pixels are read; shrink it first"
        ) from error
    except OSError as error:
        raise ImageError(f"{path}: cannot be opened ({error.strerror or error})") from error
    if image.width * image.height > MAX_PIXELS:
        size = f"{image.width} x {image.height}"
        image.close()
        raise ImageError(f"{path}: {size} pixels, at most {MAX_PIXELS:,} are read; shrink it first")
    return image
