"""Pairs in batches across queries against one pair after the other."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.rerank.conftest import moved_geowarp
from vgsearch.config.geowarp import GeoWarpConfig
from vgsearch.data.resize import resize_shorter_side
from vgsearch.errors import DivergedError, ImageError
from vgsearch.models.precision import resolve_precision
from vgsearch.rerank import feature_cache, pair_scoring
from vgsearch.rerank.pair_scoring import Machine, num_passes, score_candidates

pytestmark = pytest.mark.usefixtures("one_thread")
SIZES = [(64, 48), (48, 64), (64, 48), (56, 56)]
CANDIDATES = np.array([[3, 0, 4], [0, 1, -1], [-1, -1, -1], [2, 3, 1]])


def machine(tmp_path: Path, batch_size: int = 3, precision: str = "fp32") -> Machine:
    cpu = torch.device("cpu")
    return Machine(cpu, resolve_precision(precision, cpu), batch_size, 2, tmp_path)


def one_by_one(network, queries, database, candidates, resize_px=None):
    scores = np.full(candidates.shape, -np.inf, dtype=np.float32)
    for (query, rank), row in np.ndenumerate(candidates):
        if row >= 0:
            photos = queries.read(query), database.read(row)
            framed = [
                resize_shorter_side(each, resize_px)[None] if resize_px else each[None] for each in photos
            ]
            with torch.no_grad():
                scores[query, rank] = 1 - network.dissimilarity(*framed).item()
    return scores


@pytest.fixture
def sides(write_photos, tmp_path):
    return write_photos(tmp_path / "queries", SIZES), write_photos(tmp_path / "db", [*SIZES[::-1], (64, 48)])


def test_it_is_pair_by_pair(geowarp, sides, tmp_path):
    expected = one_by_one(geowarp, *sides, CANDIDATES)
    assert np.ptp(expected[np.isfinite(expected)]) > 1e-3
    for batch_size in (1, 3, 64):
        done = []
        got = score_candidates(
            geowarp, *sides, CANDIDATES, machine=machine(tmp_path, batch_size), progress=done.append
        )
        np.testing.assert_allclose(got, expected, rtol=0, atol=2e-5)
        assert sum(done) == num_passes(CANDIDATES)


def test_features_in_a_file_are_the_same(geowarp, sides, tmp_path, monkeypatch):
    expected = score_candidates(geowarp, *sides, CANDIDATES, machine=machine(tmp_path))
    monkeypatch.setattr(feature_cache, "IN_MEMORY_BYTES", 0)
    got = score_candidates(geowarp, *sides, CANDIDATES, machine=machine(tmp_path))
    np.testing.assert_array_equal(got, expected)
    assert len(list(tmp_path.glob("features-*.bin"))) == 2


def test_photos_are_resized_as_the_checkpoint_says(sides, tmp_path):
    config = GeoWarpConfig(**moved_geowarp().config.model_dump() | {"resize_px": 32})
    network = moved_geowarp(config)
    expected = one_by_one(network, *sides, CANDIDATES, resize_px=32)
    got = score_candidates(network, *sides, CANDIDATES, machine=machine(tmp_path))
    np.testing.assert_allclose(got, expected, rtol=0, atol=2e-5)


def test_half_precision_is_near(geowarp, sides, tmp_path):
    expected = one_by_one(geowarp, *sides, CANDIDATES)
    got = score_candidates(geowarp, *sides, CANDIDATES, machine=machine(tmp_path, precision="bf16"))
    np.testing.assert_allclose(got, expected, rtol=0, atol=3e-2)


def test_orders_in_half_precision_are_those_of_single(geowarp, write_photos, tmp_path, monkeypatch):
    # As many errors are measured as there are pairs at most: with few of them most scores stay rough.
    monkeypatch.setattr(pair_scoring, "_SAMPLE", 6)
    sides = write_photos(tmp_path / "queries", [(48, 48)] * 6), write_photos(tmp_path / "db", [(48, 48)] * 9)
    candidates = np.array([np.roll(np.arange(9), turn)[:7] for turn in range(6)])
    exact, rough = (
        score_candidates(geowarp, *sides, candidates, machine=machine(tmp_path, 8, precision))
        for precision in ("fp32", "bf16")
    )
    assert (np.abs(rough - exact) > 1e-6).any()
    np.testing.assert_array_equal(np.argsort(-rough, axis=1), np.argsort(-exact, axis=1))


def test_a_photo_is_encoded_once_however_many_pairs_it_has(geowarp, sides, tmp_path, monkeypatch):
    encoded = []
    forward = type(geowarp.encoder).forward

    def counted(self, x):
        if not x.requires_grad:  # it does where the layers are asked which reads which
            encoded.append(len(x))
        return forward(self, x)

    monkeypatch.setattr(type(geowarp.encoder), "forward", counted)
    score_candidates(geowarp, *sides, CANDIDATES, machine=machine(tmp_path, 64))
    assert sum(encoded) == num_passes(CANDIDATES)


def test_a_network_that_diverged_is_said(sides, tmp_path):
    network = moved_geowarp()
    with torch.no_grad():
        network.regression.linear.bias.fill_(torch.nan)
    with pytest.raises(DivergedError, match=r"queries.*and.*db.*NaN"):
        score_candidates(network, *sides, CANDIDATES, machine=machine(tmp_path))


def test_a_photo_that_cannot_be_read_is_named(geowarp, sides, tmp_path):
    path = sides[1].absolute(3)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ImageError, match=path.name):
        score_candidates(geowarp, *sides, CANDIDATES, machine=machine(tmp_path))
