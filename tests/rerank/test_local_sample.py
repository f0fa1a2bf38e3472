"""Which local descriptors are drawn, against the map of each photo on its own."""

import numpy as np
import pytest
import torch

from vgsearch.data.framing import Framing
from vgsearch.models.precision import resolve_precision
from vgsearch.rerank.local_sample import sample_local_descriptors

CPU = torch.device("cpu")
FRAMING = Framing("exact", 96, 64)


def sample(network, photos, **changes):
    settings = {"seed": 0, "batch_size": 3, "num_photos": 4, "num_positions": 2} | changes
    precision = resolve_precision("fp32", CPU)
    return sample_local_descriptors(network, photos, FRAMING, device=CPU, precision=precision, **settings)


@pytest.fixture
def photos(tmp_path, write_photos):
    return write_photos(tmp_path / "photos", [(96, 64), (120, 80), (64, 96), (96, 96), (96, 64), (80, 80)])


def maps_one_by_one(network, photos):
    """For each photo its descriptors of norm 1, (positions, c)."""
    found = []
    for row in range(len(photos)):
        images = FRAMING.views(photos.read(row))[0][None]
        with torch.inference_mode():
            local = network.encoder(network.normalise(images))[0].flatten(1).T
        found.append(local / local.norm(dim=1, keepdim=True))
    return found


def test_each_drawn_photo_gives_as_many_positions(geowarp, photos):
    found = sample(geowarp, photos)
    maps = maps_one_by_one(geowarp, photos)
    assert found.shape == (8, geowarp.encoder.channels)
    drawn = []
    for local in found:
        distances = [(each - local).norm(dim=1) for each in maps]
        photo = int(np.argmin([each.min() for each in distances]))
        assert distances[photo].min() < 1e-4
        drawn.append((photo, int(distances[photo].argmin())))
    assert len(set(drawn)) == 8
    drawn_photos = [photo for photo, _ in drawn]
    assert drawn_photos == sorted(drawn_photos)
    assert {drawn_photos.count(photo) for photo in drawn_photos} == {2}


def test_batches_do_not_matter_and_the_seed_does(geowarp, photos):
    found = sample(geowarp, photos)
    torch.testing.assert_close(sample(geowarp, photos, batch_size=1), found, rtol=0, atol=1e-5)
    assert torch.equal(sample(geowarp, photos), found)
    assert not torch.allclose(sample(geowarp, photos, seed=1), found, atol=1e-3)


def test_of_few_photos_and_positions_all_are_taken(geowarp, photos):
    maps = torch.cat(maps_one_by_one(geowarp, photos))
    counted = []
    found = sample(geowarp, photos, num_photos=99, num_positions=9999, progress=counted.append)
    assert found.shape == maps.shape
    assert torch.cdist(maps, found).min(dim=1).values.max() < 1e-3
    assert sum(counted) == 6
