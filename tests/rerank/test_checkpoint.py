"""A checkpoint is written whole, read back to the bit, and refused where it is damaged."""

import json

import pytest
import torch
import yaml

from vgsearch.config.geowarp import GeoWarpConfig
from vgsearch.errors import CheckpointError
from vgsearch.rerank.checkpoint import geowarp_identity, is_geowarp, load_geowarp, save_geowarp
from vgsearch.rerank.network import build_geowarp

CONFIG = GeoWarpConfig(
    encoder="timm/test_resnet.r160_in1k", kernel_sizes=(7, 5), channels=(8, 4), resize_px=64
)


@pytest.fixture
def folder(tmp_path):
    return save_geowarp(tmp_path / "made", build_geowarp(CONFIG, seed=3), {"kind": "imported"})


def test_it_comes_back_the_same(folder):
    network, again = build_geowarp(CONFIG, seed=3), load_geowarp(folder)
    assert is_geowarp(folder)
    assert again.config == CONFIG
    assert not again.training
    assert json.loads((folder / "lineage.json").read_text()) == {"kind": "imported"}
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    first = geowarp_identity(folder)
    save_geowarp(folder, network, {"kind": "other"})
    assert geowarp_identity(folder) == first
    assert not list(folder.parent.glob(".*"))


def test_another_description_is_another_network(folder):
    first = geowarp_identity(folder)
    larger = CONFIG.model_copy(update={"resize_px": 128})
    other = save_geowarp(folder.parent / "other", build_geowarp(larger, seed=3), {"kind": "imported"})
    assert geowarp_identity(other) != first
    (other / "geowarp.yaml").write_bytes((folder / "geowarp.yaml").read_bytes())
    assert geowarp_identity(other) == first


def test_another_network_is_refused(folder):
    config = CONFIG.model_dump(mode="json") | {"channels": [8, 5]}
    (folder / "geowarp.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(CheckpointError, match="of another shape"):
        load_geowarp(folder)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("encoder: 3", "encoder"),
        ("kernel_sizes: [99]\nchannels: [4]", "leave nothing"),
        ("- a", "geowarp.yaml"),
    ],
)
def test_a_damaged_description_is_refused(folder, text, words):
    (folder / "geowarp.yaml").write_text(text)
    with pytest.raises(CheckpointError, match=words):
        load_geowarp(folder)
