"""`vgsearch warp train` as a user types it, on the tiny city."""

import json
import shutil

import pytest

from tests.cli.test_import import assert_refused
from vgsearch.registry.mlflow_registry import MlflowRegistry
from vgsearch.rerank.checkpoint import geowarp_identity, load_geowarp, save_geowarp

pytestmark = pytest.mark.usefixtures("one_thread")

TRAINING = """
name: small
data: {train: demo_city/train}
network: {encoder: timm/test_resnet.r160_in1k, kernel_sizes: [7, 5], channels: [8, 8]}
encoder_weights: none
height_px: 48
width_px: 48
batch_size: 2
epochs: 1
iterations_per_epoch: 2
pairs: {max_squared_distance: 4}
"""


@pytest.fixture
def file(tmp_path, own_city):
    (tmp_path / "small.yaml").write_text(TRAINING)
    return "small.yaml"


@pytest.mark.slow
def test_from_photos_to_a_network_that_re_ranks(vgsearch, file, tmp_path):
    run = vgsearch("warp", "train", file, "--set", "data.query_fraction=0.5", "--set", "data.cell_m=20")
    assert run.code == 0, run.err
    assert "pairs of query and positive" in run.out
    assert "epoch 1/1: self_supervised" in run.out
    assert "--rerank geowarp:small" in run.out
    folder = tmp_path / "runs" / "rerankers" / "small"
    assert sorted(path.name for path in folder.iterdir()) == [
        "geowarp.safetensors",
        "geowarp.yaml",
        "lineage.json",
    ]
    lineage = json.loads((folder / "lineage.json").read_text())
    assert lineage["pairs_by"] == "timm/test_resnet.r160_in1k + GeM"
    assert lineage["training"]["data"]["query_fraction"] == 0.5

    settings = ("--set", "data.query_fraction=0.5", "--set", "data.cell_m=20")
    more = vgsearch("warp", "train", file, *settings, "--set", "epochs=2")
    assert more.code == 0, more.err
    assert "epoch 2/2" in more.out
    assert "epoch 1/2" not in more.out

    assert_refused(vgsearch("warp", "train", file, *settings), "end of 2 epochs", "--set name=")
    shutil.rmtree(tmp_path / "runs" / "warps")
    before = geowarp_identity(folder)
    assert_refused(vgsearch("warp", "train", file, *settings), "2 epochs there and 1 here", "--set name=")
    other = vgsearch("warp", "train", file, *settings, "--set", "epochs=2", "--set", "lr=0.5")
    assert_refused(other, "holds the network of another training (lr)", "--set name=")
    save_geowarp(tmp_path / "runs" / "rerankers" / "theirs", load_geowarp(folder), {"kind": "imported"})
    theirs = vgsearch("warp", "train", file, *settings, "--set", "name=theirs")
    assert_refused(theirs, "was not trained here", "--set name=")
    assert geowarp_identity(folder) == before

    registry = MlflowRegistry(tmp_path / "runs", None)
    (trial,) = registry.trials("warp-small")
    assert trial.state == "complete"
    losses = {f"train/{name}_loss" for name in ("self_supervised", "consistency", "features")}
    assert [losses <= set(metrics) for metrics in trial.history.values()] == [True, True]


def test_what_cannot_be_is_one_line(vgsearch, file):
    assert_refused(vgsearch("warp", "train", file, "--set", "data.train=nowhere"), "nowhere")
    assert_refused(
        vgsearch("warp", "train", file, "--set", "encoder_weights=no.pth"), "encoder weights", "no.pth"
    )


@pytest.mark.slow
def test_other_photos_are_refused_before_anything_is_recorded(vgsearch, file, own_city, tmp_path):
    alone = ("--set", "weights={self_supervised: 1, consistency: 0, features: 0}", "--set", "epochs=2")
    run = vgsearch("warp", "train", file, *alone)
    assert run.code == 0, run.err
    next((own_city / "train").rglob("*.jpg")).unlink()
    assert_refused(vgsearch("warp", "train", file, *alone), "other photos in data.train", "--set name=")
    assert len(MlflowRegistry(tmp_path / "runs", None).trials("warp-small")) == 1


@pytest.mark.slow
def test_no_pairs_are_said(vgsearch, file):
    near = ("--set", "data.query_fraction=0.5", "--set", "data.cell_m=20")
    none = vgsearch("warp", "train", file, *near, "--set", "pairs.max_squared_distance=1e-9")
    assert_refused(none, "pairs.max_squared_distance")
