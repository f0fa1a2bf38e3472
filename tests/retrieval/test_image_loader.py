from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vgsearch.data.decode import read_image
from vgsearch.data.resize import resize_shorter_side
from vgsearch.retrieval import image_loader
from vgsearch.retrieval.batch_plan import plan_batches
from vgsearch.retrieval.image_loader import load_batches, network_sizes, resized_size

if TYPE_CHECKING:
    from conftest import WriteImages


@given(st.integers(1, 90), st.integers(1, 90), st.integers(16, 50))
def test_sizes_are_foretold_as_resizing_makes_them(height_px: int, width_px: int, resize_px: int) -> None:
    image = torch.zeros((3, height_px, width_px), dtype=torch.uint8)
    assert resized_size(height_px, width_px, resize_px) == resize_shorter_side(image, resize_px).shape[1:]
    assert resized_size(height_px, width_px, None) == (height_px, width_px)


def test_batches_come_in_plan_order_with_the_pixels_of_their_files(
    write_images: WriteImages, tmp_path: Path
) -> None:
    index = write_images(tmp_path / "images", [(20, 30), (30, 20)] * 6)
    plan = list(plan_batches(network_sizes(index, None, 2), 4))
    with load_batches(index, plan, resize_px=None, threads=3) as batches:
        loaded = list(batches)
    assert [batch.ids.tolist() for batch in loaded] == [planned.ids.tolist() for planned in plan]
    for batch in loaded:
        for i, image in zip(batch.ids, batch.images, strict=True):
            assert torch.equal(image, read_image(index.absolute(int(i))))


def test_no_more_is_decoded_ahead_than_memory_allows(
    write_images: WriteImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = write_images(tmp_path / "images", [(20, 30)] * 40)
    decoded = []
    lock = threading.Lock()

    def counted(path: Path) -> torch.Tensor:
        with lock:
            decoded.append(path)
        return read_image(path)

    monkeypatch.setattr("vgsearch.data.index.read_image", counted)
    monkeypatch.setattr(image_loader, "PREFETCH_BYTES", 2 * 2 * 3 * 20 * 30)  # two batches of two
    plan = list(plan_batches(np.full((40, 2), (20, 30)), 2))
    with load_batches(index, plan, resize_px=None, threads=4) as batches:
        next(batches)
        time.sleep(0.3)
        assert len(decoded) <= 2 * (1 + 2)
