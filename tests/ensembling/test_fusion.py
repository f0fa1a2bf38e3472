"""Fused matrices are what the ensemble's network gives, block by block, from memory maps too."""

import numpy as np
import pytest
import torch

from tests.ensembling.drawn_members import unit_rows
from vgsearch.ensembling import fusion as fusion_module
from vgsearch.ensembling.fusion import fuse_descriptors
from vgsearch.models.ensemble_network import fuse


@pytest.mark.parametrize("fusion", ["mean", "concat", "similarity"])
def test_matrices_are_fused_as_the_network_fuses(fusion, tmp_path, monkeypatch):
    monkeypatch.setattr(fusion_module, "_BLOCK_ROWS", 7)
    rng = np.random.default_rng(0)
    lengths = (8, 8, 8) if fusion == "mean" else (8, 5, 3)
    weights = [1.0, 1.0, 1.0] if fusion == "concat" else [3.0, 1.0, 0.5]
    rows = [unit_rows(rng, 20, length) for length in lengths]
    maps = []
    for i, each in enumerate(rows):
        np.save(tmp_path / f"{i}.npy", each)
        maps.append(np.load(tmp_path / f"{i}.npy", mmap_mode="r"))
    fused = fuse_descriptors(maps, fusion, weights)
    shares = [weight / sum(weights) for weight in weights]
    expected = fuse([torch.from_numpy(each) for each in rows], fusion, shares)
    np.testing.assert_allclose(fused, expected.numpy(), atol=2e-7)
    np.testing.assert_allclose(np.linalg.norm(fused, axis=1), 1, atol=1e-6)
    assert fused.dtype == np.float32


def test_what_does_not_fit_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="must describe the same images"):
        fuse_descriptors([unit_rows(rng, 3, 4), unit_rows(rng, 4, 4)], "mean", [1, 1])
    with pytest.raises(ValueError, match="mean needs descriptors of one length"):
        fuse_descriptors([unit_rows(rng, 3, 4), unit_rows(rng, 3, 5)], "mean", [1, 1])
