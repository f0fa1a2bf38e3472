"""The contact sheet: photos above, their translations below."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.training.conftest import write_places
from vgsearch.data.index import index_folder
from vgsearch.errors import DataError
from vgsearch.translation.photo_size import WorkingSize
from vgsearch.translation.preview import before_and_after, contact_sheet


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content))).astype(int)


def test_each_photo_stands_above_its_translation():
    before = [torch.full((3, 50, 50), 10 * k, dtype=torch.uint8) for k in range(5)]
    sheet = pixels(contact_sheet(before, [200 + photo for photo in before]))
    assert sheet.shape == (2 * (2 * 192 + 4) + 4, 4 * 192 + 3 * 4, 3)
    for k in range(5):
        row, column = divmod(k, 4)
        y, x = row * 392 + 96, column * 196 + 96
        assert abs(sheet[y, x] - 10 * k).max() <= 2
        assert abs(sheet[y + 196, x] - 200 - 10 * k).max() <= 2
    assert (sheet[500, 500:] > 250).all()


@dataclass
class Negative:
    size: WorkingSize
    provenance = {"method": "negative"}  # noqa: RUF012

    def translate(self, photos: Tensor) -> Tensor:
        return 255 - photos


def test_of_a_folder(tmp_path: Path):
    write_places(tmp_path / "night", range(1), places=range(3))
    index = index_folder(tmp_path / "night")
    sheet = pixels(before_and_after(index, Negative(WorkingSize(32)), count=2))
    assert sheet.shape == (388, 388, 3)
    assert abs(sheet[:192] + sheet[196:] - 255).mean() < 25
    Image.new("RGB", (10, 40)).save(index.absolute(0))
    with pytest.raises(DataError, match="10 x 40 pixels are too few"):
        before_and_after(index, Negative(WorkingSize(None)))
