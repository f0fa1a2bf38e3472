"""Pairs of a query and a candidate as a picture: what each shows, what both show, and that part drawn out."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from vgsearch.rerank.common_view import CommonView

HEADINGS = ("query", "candidate", "query, warped (black: beyond it)", "candidate, warped")
_PHOTO_PX = 208
_MARGIN_PX = 26
_GAP_PX = 6
_FONT_PX, _SMALL_PX = 14, 11
_LINE_PX = 18
_QUALITY = 92
_RIGHT, _WRONG = (0, 128, 60), (190, 30, 30)
_OUTLINE, _HALO = (255, 210, 0), (0, 0, 0)
_BEYOND = (214, 214, 214)
_SCALED_UP = 4

_Font = ImageFont.ImageFont | ImageFont.FreeTypeFont


@dataclass(frozen=True)
class PairRow:
    """One row of a sheet.

    Attributes:
        view: The pair.
        is_right: Whether the candidate is a positive.
        label: What stands before that verdict, a few words.
        facts: What stands behind it.
        names: Of query and candidate.
    """

    view: CommonView
    is_right: bool
    label: str
    facts: str
    names: tuple[str, str]


def draw_pair_sheet(title: str, rows: Sequence[PairRow]) -> bytes:
    """Draw a row for each pair: both photos with their quadrilaterals, then both warped, under a caption.

    Photos keep their aspect ratio. They lie on a grey margin, so that a quadrilateral that leaves its photo
    is seen to do so; a dot marks the corner that becomes the top left one.

    Args:
        title: What the sheet shows; wrapped.
        rows: At least one.

    Returns:
        A JPEG file's bytes.
    """
    cell_px = _PHOTO_PX + 2 * _MARGIN_PX
    width_px = len(HEADINGS) * (cell_px + _GAP_PX) + _GAP_PX
    fonts = ImageFont.load_default(_FONT_PX), ImageFont.load_default(_SMALL_PX)
    lines = _wrapped(title, fonts[0], width_px - 2 * _GAP_PX)
    parts = [
        _text_band([(line, (0, 0, 0), fonts[0]) for line in lines], width_px),
        _headings(cell_px, width_px),
    ]
    for row in rows:
        parts += [_caption(row, fonts, width_px), _pictures(row, cell_px, width_px)]
    sheet = Image.new("RGB", (width_px, sum(part.height for part in parts)), "white")
    top = 0
    for part in parts:
        sheet.paste(part, (0, top))
        top += part.height
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def outlined(photo: Tensor, corners: Tensor) -> Image.Image:
    """A photo on its margin with a quadrilateral drawn on it, its first corner marked.

    Args:
        photo: uint8 (3, h, w).
        corners: float32 (4, 2), (-1, -1) the photo's top left corner; nothing is drawn if one is not finite.

    Returns:
        A square of the size of a cell.
    """
    cell, (left, top, width, height) = _on_margin(photo)
    if not bool(corners.isfinite().all()):
        return cell
    # Lines of PIL are not smoothed, so they are drawn large; far corners are cut off at what PIL can take.
    large = Image.new("L", (cell.width * _SCALED_UP, cell.height * _SCALED_UP))
    halo = large.copy()
    points = [
        tuple(
            _SCALED_UP * min(max(start + (value + 1) / 2 * side, -1e4), 1e4)
            for start, value, side in zip((left, top), corner, (width, height), strict=True)
        )
        for corner in corners.tolist()
    ]
    for mask, thickness in ((halo, 4), (large, 2)):
        draw = ImageDraw.Draw(mask)
        draw.line([*points, points[0], points[1]], fill=255, width=thickness * _SCALED_UP, joint="curve")
        x, y = points[0]
        radius = (thickness + 3) * _SCALED_UP
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=255)
    for mask, colour in ((halo, _HALO), (large, _OUTLINE)):
        cell.paste(colour, (0, 0), mask.resize(cell.size, Image.Resampling.BOX))
    return cell


def _on_margin(photo: Tensor) -> tuple[Image.Image, tuple[int, int, int, int]]:
    """A photo in the middle of a grey square; also its left, top, width and height there."""
    height_px, width_px = photo.shape[1:]
    scale = _PHOTO_PX / max(height_px, width_px)
    size = max(1, round(width_px * scale)), max(1, round(height_px * scale))
    picture = Image.fromarray(np.ascontiguousarray(photo.permute(1, 2, 0).numpy()))
    picture = picture.resize(size, Image.Resampling.BICUBIC)
    side = _PHOTO_PX + 2 * _MARGIN_PX
    cell = Image.new("RGB", (side, side), _BEYOND)
    place = (side - size[0]) // 2, (side - size[1]) // 2
    cell.paste(picture, place)
    return cell, (*place, *size)


def _pictures(row: PairRow, cell_px: int, width_px: int) -> Image.Image:
    cells = [outlined(*each) for each in zip(row.view.photos, row.view.corners, strict=True)]
    cells += [_on_margin(each)[0] for each in row.view.warped]
    band = Image.new("RGB", (width_px, cell_px + _GAP_PX), "white")
    for number, cell in enumerate(cells):
        band.paste(cell, (_GAP_PX + number * (cell_px + _GAP_PX), 0))
    return band


def _caption(row: PairRow, fonts: tuple[_Font, _Font], width_px: int) -> Image.Image:
    verdict, colour = ("RIGHT", _RIGHT) if row.is_right else ("WRONG", _WRONG)
    room = width_px - 2 * _GAP_PX
    lines = [(_cut(f"{row.label}: {verdict}, {row.facts}", fonts[0], room), colour, fonts[0])]
    for what, name in zip(("query", "candidate"), row.names, strict=True):
        lines.append((_cut(f"{what}  {name}", fonts[1], room), (90, 90, 90), fonts[1]))
    return _text_band(lines, width_px)


def _headings(cell_px: int, width_px: int) -> Image.Image:
    band = Image.new("RGB", (width_px, _LINE_PX + _GAP_PX), "white")
    draw = ImageDraw.Draw(band)
    for number, text in enumerate(HEADINGS):
        middle = _GAP_PX + number * (cell_px + _GAP_PX) + cell_px / 2
        draw.text((middle, _GAP_PX), text, fill="black", font=ImageFont.load_default(_FONT_PX), anchor="ma")
    return band


def _text_band(lines: Sequence[tuple[str, tuple[int, int, int], _Font]], width_px: int) -> Image.Image:
    band = Image.new("RGB", (width_px, 2 * _GAP_PX + len(lines) * _LINE_PX), "white")
    draw = ImageDraw.Draw(band)
    for number, (text, colour, font) in enumerate(lines):
        draw.text((_GAP_PX, _GAP_PX + number * _LINE_PX), text, fill=colour, font=font)
    return band


def _wrapped(text: str, font: _Font, room_px: int) -> list[str]:
    """Break at blanks."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= room_px:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _cut(text: str, font: _Font, room_px: int) -> str:
    """Leave out the middle of what is too long."""
    if font.getlength(text) <= room_px:
        return text
    keep = math.floor(len(text) * room_px / font.getlength(text)) // 2 - 2
    return f"{text[:keep]}...{text[-keep:]}"
