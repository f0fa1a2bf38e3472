"""A contact sheet: photos above, what became of them below."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vgsearch.data.index import ImageIndex
from vgsearch.translation.method import TranslationMethod
from vgsearch.translation.photo_folder import JPEG_QUALITY
from vgsearch.translation.photo_size import require_sides, resized

PHOTOS = 8
_ACROSS = 4
_HEIGHT_PX = 192
_GAP_PX = 4


def before_and_after(index: ImageIndex, method: TranslationMethod, count: int = PHOTOS) -> bytes:
    """Translate up to `count` photos, evenly spaced, and put both versions of each on a contact sheet.

    Returns:
        A JPEG file's bytes.

    Raises:
        ImageError: a photo cannot be read.
        DataError: a photo is too small.
    """
    before, after = [], []
    for i in np.unique(np.linspace(0, len(index) - 1, min(count, len(index))).round().astype(int)).tolist():
        photo = index.read(i)
        own = photo.shape[1:]
        working = method.size.of(*own)
        require_sides(*working, name=str(index.absolute(i)))
        before.append(photo)
        after.append(resized(method.translate(resized(photo, *working)[None])[0], *own))
    return contact_sheet(before, after)


def contact_sheet(before: Sequence[Tensor], after: Sequence[Tensor]) -> bytes:
    """Put pairs side by side, each photo above its translation, on white.

    Args:
        before: photos, uint8 (3, h, w), of any sizes.
        after: the translation of each.

    Returns:
        A JPEG file's bytes.
    """
    pairs = [
        torch.cat([_thumb(b), _gap(_thumb(b), 1), _thumb(a)], 1) for b, a in zip(before, after, strict=True)
    ]
    width = max(pair.shape[2] for pair in pairs)
    cells = [_on_white(pair, pair.shape[1], width) for pair in pairs]
    rows = []
    for start in range(0, len(cells), _ACROSS):
        row = [part for cell in cells[start : start + _ACROSS] for part in (cell, _gap(cell, 2))][:-1]
        rows.append(torch.cat(row, 2))
    across = max(row.shape[2] for row in rows)
    rows = [_on_white(row, row.shape[1], across) for row in rows]
    sheet = torch.cat([part for row in rows for part in (row, _gap(row, 1))][:-1], 1)
    buffer = io.BytesIO()
    Image.fromarray(sheet.permute(1, 2, 0).contiguous().numpy()).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def _thumb(photo: Tensor) -> Tensor:
    height_px, width_px = photo.shape[1:]
    return resized(photo, _HEIGHT_PX, max(1, round(width_px * _HEIGHT_PX / height_px)))


def _gap(beside: Tensor, dim: int) -> Tensor:
    """White pixels as long as `beside`; 1 for a row of them, 2 for a column."""
    shape = list(beside.shape)
    shape[dim] = _GAP_PX
    return torch.full(shape, 255, dtype=torch.uint8)


def _on_white(photo: Tensor, height_px: int, width_px: int) -> Tensor:
    sheet = torch.full((3, height_px, width_px), 255, dtype=torch.uint8)
    sheet[:, : photo.shape[1], : photo.shape[2]] = photo
    return sheet
