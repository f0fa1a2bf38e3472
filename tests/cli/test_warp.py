"""`vgsearch warp train` as a user types it, on the tiny city."""

import json
import os
import shlex
import shutil
import signal

import pytest
import torch

from tests.cli.test_import import assert_refused
from tests.rerank.foreign import authors_extractor
from vgsearch.models.netvlad import NetVLAD
from vgsearch.registry.mlflow_registry import MlflowRegistry
from vgsearch.registry.warp_runs import WarpRun
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_good_order_and_the_same_command_goes_on(
    vgsearch, file, tmp_path, monkeypatch, number
):
    log_epoch = WarpRun.log_epoch

    def log_and_signal(run, epoch, losses):
        log_epoch(run, epoch, losses)
        if epoch == 1:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(WarpRun, "log_epoch", log_and_signal)
    before = signal.getsignal(number)
    alone = "weights={self_supervised: 1, consistency: 0, features: 0}"
    command = ["warp", "train", file, "--set", alone, "--set", "epochs=2", "--data-root", tmp_path / "data"]
    run = vgsearch(*command)
    assert run.code == 130, run.err
    assert "epoch 1/2" in run.out
    assert "epoch 2/2" not in run.out
    assert "Traceback" not in run.err
    assert (
        run.out.splitlines()[-2] == "the training was interrupted; its finished epochs are kept. Go on with:"
    )
    assert shlex.split(run.out.splitlines()[-1]) == ["vgsearch", *map(str, command)]
    assert signal.getsignal(number) == before
    registry = MlflowRegistry(tmp_path / "runs", None)
    assert [trial.state for trial in registry.trials("warp-small")] == ["stopped"]
    assert [each.state for each in registry.searches() if each.name == "warp-small"] == ["interrupted"]

    monkeypatch.setattr(WarpRun, "log_epoch", log_epoch)
    again = vgsearch(*shlex.split(run.out.splitlines()[-1])[1:])
    assert again.code == 0, again.err
    assert "epoch 1/2" not in again.out
    (trial,) = registry.trials("warp-small")
    assert (trial.state, sorted(trial.history)) == ("complete", [1, 2])
    quiet = vgsearch(*command, "--set", "name=quiet")
    assert quiet.code == 0, quiet.err
    kept = tmp_path / "runs" / "rerankers"
    interrupted, whole = (load_geowarp(kept / name).state_dict() for name in ("small", "quiet"))
    assert all(torch.equal(interrupted[key], tensor) for key, tensor in whole.items())


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


@pytest.mark.slow
def test_pairs_are_found_by_netvlad_or_a_kept_baseline(vgsearch, file, tmp_path):
    near = ("--set", "data.query_fraction=0.5", "--set", "data.cell_m=20")
    netvlad = ("--set", "network.pooling=netvlad")
    run = vgsearch("warp", "train", file, *near, *netvlad)
    assert run.code == 0, run.err
    assert "64 clusters of " in run.out
    folder = tmp_path / "runs" / "rerankers" / "small"
    assert json.loads((folder / "lineage.json").read_text())["pairs_by"].endswith(" + NetVLAD")
    assert load_geowarp(folder).config.pooling == "netvlad"
    more = vgsearch("warp", "train", file, *near, *netvlad, "--set", "epochs=2")
    assert more.code == 0, more.err
    assert "clusters of" not in more.out

    again = vgsearch("warp", "train", file, *near, *netvlad, "--set", "name=again", "--set", "epochs=2")
    assert again.code == 0, again.err
    assert geowarp_identity(folder.with_name("again")) == geowarp_identity(folder)

    by_kept = ("--set", "name=kept", "--model")
    assert_refused(
        vgsearch("warp", "train", file, *near, *by_kept, "geowarp:no"), "--model: no is no GeoWarp"
    )
    assert_refused(vgsearch("warp", "train", file, *near, *by_kept, "geowarp:small"), "keep its clusters")
    kept = load_geowarp(folder)
    channels = kept.encoder.channels
    torch.manual_seed(0)
    pooling = NetVLAD(torch.rand(4, channels), torch.randn(4, channels))
    save_geowarp(folder.with_name("theirs"), kept, {"kind": "imported"}, pooling=pooling)
    run = vgsearch("warp", "train", file, *near, *by_kept, "geowarp:theirs")
    assert run.code == 0, run.err
    lineage = json.loads((folder.with_name("kept") / "lineage.json").read_text())
    assert lineage["pairs_by"] == "geowarp:theirs"


@pytest.mark.slow
def test_a_baselines_own_clusters_find_the_pairs(vgsearch, file, tmp_path):
    torch.save(authors_extractor("alexnet", "netvlad").state_dict(), tmp_path / "vlad.pth")
    network = "network={encoder: alexnet, pooling: netvlad, kernel_sizes: [7, 5], channels: [8, 8]}"
    theirs = ("--set", network, "--set", "encoder_weights=vlad.pth", "--set", "height_px=64")
    near = ("--set", "width_px=64", "--set", "data.query_fraction=0.5", "--set", "data.cell_m=20")
    gem = vgsearch("warp", "train", file, *theirs, *near, "--set", "network.pooling=gem")
    assert_refused(gem, "network.pooling", "vlad.pth", "netvlad")
    run = vgsearch("warp", "train", file, *theirs, *near)
    assert run.code == 0, run.err
    assert "clusters of" not in run.out
    assert "pairs of query and positive" in run.out


@pytest.mark.slow
def test_photos_that_make_no_clusters_are_said(vgsearch, file, own_city):
    for photo in sorted((own_city / "train").rglob("*.jpg"))[3:]:
        photo.unlink()
    alone = ("--set", "height_px=32", "--set", "width_px=32", "--set", "data.cell_m=1000")
    every = ("--set", "data.heading_deg=360", "--set", "data.query_fraction=0.5")
    run = vgsearch("warp", "train", file, *alone, *every, "--set", "network.pooling=netvlad")
    assert_refused(run, "make no clusters", "network.pooling")
