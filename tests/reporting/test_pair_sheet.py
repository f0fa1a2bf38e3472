from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from vgsearch.reporting.pair_sheet import PairRow, draw_pair_sheet, outlined
from vgsearch.rerank.common_view import CommonView

YELLOW = (255, 210, 0)
PHOTO_PX, MARGIN_PX, GAP_PX = 208, 26, 6
CELL_PX = PHOTO_PX + 2 * MARGIN_PX


def plain(colour: tuple[int, int, int], height: int = 64, width: int = 64) -> torch.Tensor:
    return torch.tensor(colour, dtype=torch.uint8).reshape(3, 1, 1).expand(3, height, width).contiguous()


def is_yellow(cell: Image.Image, x: float, y: float) -> bool:
    """Whether any pixel within one of a place is the line's."""
    near = [cell.getpixel((round(x) + i, round(y) + j)) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    return min(sum(abs(a - b) for a, b in zip(pixel, YELLOW, strict=True)) for pixel in near) < 60


@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 96), (300, 150)])
def test_the_quadrilateral_runs_along_its_edges(height: int, width: int) -> None:
    corners = np.array([[-0.6, -0.5], [0.7, -0.8], [0.4, 0.6], [-1.1, 0.9]])
    cell = outlined(plain((0, 60, 200), height, width), torch.tensor(corners, dtype=torch.float32))
    assert cell.size == (CELL_PX, CELL_PX)
    scale = PHOTO_PX / max(height, width) / 2
    places = CELL_PX / 2 + corners * [width * scale, height * scale]
    for start, end in zip(places, np.roll(places, -1, axis=0), strict=True):
        for share in np.linspace(0, 1, 9):
            assert is_yellow(cell, *(start + share * (end - start)))
    inside = places.mean(axis=0)
    assert cell.getpixel((round(inside[0]), round(inside[1]))) == (0, 60, 200)
    assert is_yellow(cell, places[0, 0] + 4, places[0, 1])  # the dot of the first corner
    assert cell.getpixel((2, 2)) == (214, 214, 214)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, 1e30, -1e30])
def test_corners_that_are_nowhere_do_no_harm(value: float) -> None:
    corners = torch.tensor([[value, -1.0], [1, -1], [1, 1], [-1, 1]])
    assert outlined(plain((0, 60, 200)), corners).size == (CELL_PX, CELL_PX)


def test_a_sheet_has_a_row_of_four_pictures_for_each_pair() -> None:
    colours = [(200, 0, 0), (0, 160, 0), (0, 0, 200), (120, 60, 0)]
    nowhere = torch.full((4, 2), torch.nan)
    photos = [plain(colour) for colour in colours]
    view = CommonView((photos[0], photos[1]), (nowhere, nowhere), (photos[2], photos[3]), 0.5)
    names = ("q" * 400 + ".jpg", "candidate.jpg")
    one, three = (
        np.asarray(Image.open(io.BytesIO(draw_pair_sheet("what it shows " * 30, rows))))
        for rows in (
            [PairRow(view, True, "label", "facts", names)],
            [PairRow(view, False, "label", "facts", names)] * 3,
        )
    )
    row_px = (three.shape[0] - one.shape[0]) // 2
    assert three.shape[1] == one.shape[1] == 4 * (CELL_PX + GAP_PX) + GAP_PX
    for number in range(3):
        middle = three.shape[0] - GAP_PX - CELL_PX // 2 - (2 - number) * row_px
        for column, colour in enumerate(colours):
            across = GAP_PX + column * (CELL_PX + GAP_PX) + CELL_PX // 2
            assert np.abs(three[middle, across].astype(int) - colour).max() < 12
            edge = three[middle, across + PHOTO_PX // 2 + MARGIN_PX // 2].astype(int)
            assert np.abs(edge - 214).max() < 12


def test_a_verdict_has_its_colour() -> None:
    """In words and in colour: green where the candidate is right, red where it is wrong."""
    square = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    grey = plain((128, 128, 128))
    view = CommonView((grey, grey), (square, square), (grey, grey), 1.0)
    excess = []
    for is_right in (True, False):
        sheet = draw_pair_sheet("title", [PairRow(view, is_right, "label", "facts", ("a.jpg", "b.jpg"))])
        pixels = np.asarray(Image.open(io.BytesIO(sheet))).astype(int)[: -CELL_PX - GAP_PX]
        excess.append(int((pixels[..., 1] - pixels[..., 0]).sum()))
    assert excess[0] > 1_000
    assert excess[1] < -1_000
