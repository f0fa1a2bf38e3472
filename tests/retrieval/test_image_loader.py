from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from vgsearch.data.decode import read_image
from vgsearch.data.framing import OWN_SIZE, Framing
from vgsearch.retrieval import image_loader
from vgsearch.retrieval.batch_plan import plan_batches
from vgsearch.retrieval.image_loader import load_batches, network_sizes

if TYPE_CHECKING:
    from conftest import WriteImages


def test_batches_come_in_plan_order_with_the_pixels_of_their_files(
    write_images: WriteImages, tmp_path: Path
) -> None:
    index = write_images(tmp_path / "images", [(20, 30), (30, 20)] * 6)
    plan = list(plan_batches(network_sizes(index, OWN_SIZE, 2), 4))
    with load_batches(index, plan, threads=3) as batches:
        loaded = list(batches)
    assert [batch.ids.tolist() for batch in loaded] == [planned.ids.tolist() for planned in plan]
    for batch in loaded:
        for i, image in zip(batch.ids, batch.images, strict=True):
            assert torch.equal(image, read_image(index.absolute(int(i))))


def test_the_crops_of_an_image_stand_together(write_images: WriteImages, tmp_path: Path) -> None:
    index = write_images(tmp_path / "images", [(20, 30), (40, 24), (16, 16), (20, 30)])
    framing = Framing("five_crops", 16, 16)
    plan = list(plan_batches(network_sizes(index, framing, 2), 10, framing))
    assert [batch.ids.tolist() for batch in plan] == [[0, 1], [2, 3]]
    with load_batches(index, plan, threads=2) as batches:
        loaded = list(batches)
    for batch in loaded:
        assert batch.num_views == 5
        views = batch.images.reshape(len(batch.ids), 5, 3, 16, 16)
        for i, own in zip(batch.ids, views, strict=True):
            expected = torch.stack(framing.views(read_image(index.absolute(int(i)))))
            assert torch.equal(own, expected)


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

    monkeypatch.setattr("vgsearch.data.decode.read_image", counted)
    monkeypatch.setattr(image_loader, "PREFETCH_BYTES", 2 * 2 * 3 * 20 * 30)  # two batches of two
    plan = list(plan_batches(np.full((40, 2), (20, 30)), 2))
    with load_batches(index, plan, threads=4) as batches:
        next(batches)
        time.sleep(0.3)
        assert len(decoded) <= 2 * (1 + 2)
