"""Cached batches against what the loader decodes, whatever fits and wherever a pass ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vgsearch.data.framing import OWN_SIZE, Framing
from vgsearch.data.index import index_folder
from vgsearch.ensembling.image_cache import CachedBatches
from vgsearch.ensembling.pixel_file import PixelFile
from vgsearch.retrieval.batch_plan import plan_batches
from vgsearch.retrieval.image_loader import load_batches, network_sizes

SIZES = [(48, 64), (64, 48), (50, 50), (48, 64), (48, 64), (30, 90), (64, 48), (50, 50)]


@pytest.fixture
def index(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, (height, width) in enumerate(SIZES):
        noise = np.random.default_rng(i).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"@{500000 + i}.00@4000000.00@photo{i}@.jpg")
    return index_folder(folder, cache_dir=tmp_path / "cache")


def planned(index, framing):
    return list(plan_batches(network_sizes(index, framing, 1), 2, framing))


def decoded(index, plan):
    with load_batches(index, plan, threads=1) as batches:
        return [(batch.ids, batch.images.clone()) for batch in batches]


def assert_same(batches, expected):
    assert len(batches) == len(expected)
    for (ids, images), (their_ids, their_images) in zip(batches, expected, strict=True):
        assert np.array_equal(ids, their_ids)
        assert torch.equal(images, their_images)
        assert images.stride() == their_images.stride()  # channels last, as the network likes it


def taken(cache, count=None):
    found = []
    batches = cache.batches()
    for batch in batches:
        found.append((batch.ids, batch.images.clone()))
        if len(found) == count:
            batches.close()
            break
    return found


@pytest.mark.parametrize(
    "framing",
    [
        OWN_SIZE,
        Framing("shorter_side", 32, 32),
        Framing("central_crop", 20, 40),
        Framing("five_crops", 16, 16),
    ],
)
@pytest.mark.parametrize("room", [0.0, 0.5, 1.0])
def test_every_pass_gives_what_the_loader_gives(index, tmp_path, framing, room):
    plan = planned(index, framing)[::-1]  # any order will do
    expected = decoded(index, plan)
    slots = [batch.num_bytes for batch in plan]
    limit = int(room * sum(-(-size // 4096) * 4096 for size in slots))
    with PixelFile(tmp_path / "disk", slots, max_bytes=limit) as pixels:
        cache = CachedBatches(index, plan, pixels, threads=2)
        for _ in range(3):
            assert_same(taken(cache), expected)
        kept = sum(len(batch.ids) for batch in plan[: pixels.num_slots])
        assert cache.num_decoded == 3 * len(SIZES) - 2 * kept


@pytest.mark.parametrize("stops", [(1, 3), (3, 1), (2, 2, 4)])
def test_passes_that_end_early_decode_no_image_twice(index, tmp_path, stops):
    plan = planned(index, OWN_SIZE)
    expected = decoded(index, plan)
    with PixelFile(tmp_path, [batch.num_bytes for batch in plan], max_bytes=10**8) as pixels:
        cache = CachedBatches(index, plan, pixels, threads=1)
        for stop in stops:
            assert_same(taken(cache, stop), expected[:stop])
        assert cache.num_decoded == sum(len(batch.ids) for batch in plan[: max(stops)])
        for file in Path(index.root).iterdir():
            if file.name not in {Path(index.paths[i]).name for b in plan[max(stops) :] for i in b.ids}:
                file.unlink()  # what was decoded is not read again
        assert_same(taken(cache), expected)
        assert cache.num_decoded == len(SIZES)
