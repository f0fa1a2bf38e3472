"""The brightener gives photos the luminances of others, in the order that they had, and keeps colours."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.training.conftest import write_places
from vgsearch.data.index import ImageIndex, index_folder
from vgsearch.translation.brightener import NUM_LEVELS, Brightener, brightener_like, luminance


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageIndex, ImageIndex]:
    root = tmp_path_factory.mktemp("brightener")
    write_places(root / "day", range(2), places=range(4))
    write_places(root / "night", range(1), places=range(4), night=True)
    return index_folder(root / "day"), index_folder(root / "night")


def test_luminances_of_the_day(folders):
    day, night = folders
    levels = np.concatenate([luminance(day.read(i)[None]).flatten().numpy() for i in range(len(day))])
    method = brightener_like(day)
    assert method.provenance["like_photos"] == len(day)
    for i in range(len(night)):
        photo = night.read(i)
        bright = method.translate(photo[None])[0]
        before, after = (luminance(each[None]).flatten().numpy() for each in (photo, bright))
        # Sorting is the oracle of a histogram matching; clipped colours lose a little.
        quantiles = np.linspace(0.1, 0.9, 9)
        difference = np.quantile(after, quantiles) - np.quantile(levels, quantiles)
        assert np.abs(difference).mean() < 8
        assert np.abs(np.quantile(before, quantiles) - np.quantile(levels, quantiles)).mean() > 40
    batch = torch.stack([night.read(i) for i in range(len(night))])
    alone = torch.cat([method.translate(photo[None]) for photo in batch])
    assert torch.equal(method.translate(batch), alone)


def test_a_photo_like_the_others_stays():
    draw = torch.Generator().manual_seed(0)
    photo = torch.randint(60, 200, (3, 40, 40), dtype=torch.uint8, generator=draw)
    levels = luminance(photo[None]).round().to(torch.uint8).flatten().numpy()
    method = Brightener(np.bincount(levels, minlength=NUM_LEVELS) / len(levels), {})
    assert (method.translate(photo[None])[0].int() - photo.int()).abs().max() <= 1


def test_colours_stay_and_black_turns_grey():
    histogram = np.zeros(NUM_LEVELS)
    histogram[100] = 1
    photo = torch.zeros(3, 2, 2, dtype=torch.uint8)
    photo[:, 0, 0] = torch.tensor([40, 20, 10])
    bright = Brightener(histogram, {}).translate(photo[None])[0]
    assert torch.equal(bright[:, 1, 1], torch.tensor([100, 100, 100], dtype=torch.uint8))
    ratio = bright[:, 0, 0].float() / bright[2, 0, 0]
    torch.testing.assert_close(ratio, torch.tensor([4.0, 2.0, 1.0]), rtol=0.03, atol=0)
