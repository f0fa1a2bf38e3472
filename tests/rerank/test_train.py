"""A training learns, and goes on after it was cut off as if it had not been."""

import numpy as np
import pytest
import torch

from tests.rerank.conftest import SMALL
from vgsearch.config.warp_training import WarpTraining
from vgsearch.errors import CheckpointError, DataError, DivergedError
from vgsearch.models.precision import resolve_precision
from vgsearch.rerank.continuing import latest_epoch, stored_pairs
from vgsearch.rerank.network import build_geowarp
from vgsearch.rerank.train import train_warp
from vgsearch.rerank.training_batches import WarpBatches

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")
PAIRS = np.array([[0, 1], [2, 3], [4, 5], [1, 0], [5, 2]])


def training(**changes):
    settings = {
        "name": "small",
        "data": {"train": "x"},
        "network": SMALL.model_dump(mode="json"),
        "encoder_weights": "none",
        "height_px": 48,
        "width_px": 64,
        "batch_size": 2,
        "epochs": 2,
        "iterations_per_epoch": 3,
        "lr": 0.01,
        "precision": "fp32",
    }
    return WarpTraining.model_validate(settings | changes)


@pytest.fixture
def photos(write_photos, tmp_path):
    return write_photos(tmp_path / "train", [(60, 80)] * 6)


LINEAGE = {
    "kind": "trained",
    "photos": {"folder": "/x", "content_hash": "aa"},
    "pairs_by": "one",
    "encoder_sha256": None,
}


def run(settings, photos, folder, lineage=LINEAGE, **options):
    network = build_geowarp(settings.network, seed=settings.seed)
    precision = resolve_precision("fp32", CPU)
    train_warp(
        network,
        settings,
        photos,
        PAIRS,
        folder,
        lineage=lineage,
        device=CPU,
        precision=precision,
        **options,
    )
    return network


def test_cut_off_after_any_epoch_it_ends_the_same(photos, tmp_path):
    whole = run(training(), photos, tmp_path / "whole").state_dict()
    first = run(training(epochs=1), photos, tmp_path / "cut")
    assert any(not torch.equal(t, whole[name]) for name, t in first.state_dict().items())
    reports = []
    again = run(training(), photos, tmp_path / "cut", on_epoch=reports.append)
    assert [report.epoch for report in reports] == [2]
    for name, tensor in again.state_dict().items():
        assert torch.equal(tensor, whole[name]), name
    assert [path.name for path in (tmp_path / "cut").iterdir()] == ["epoch_0002"]
    np.testing.assert_array_equal(stored_pairs(tmp_path / "cut"), PAIRS)


def test_an_epoch_that_was_not_finished_counts_for_nothing(photos, tmp_path):
    def die(iterations):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(training(), photos, tmp_path / "cut", progress=die)
    assert latest_epoch(tmp_path / "cut") is None
    whole, again = (run(training(), photos, tmp_path / name).state_dict() for name in ("whole", "cut"))
    assert all(torch.equal(tensor, whole[name]) for name, tensor in again.items())


def test_the_encoder_stays_and_the_regression_learns(photos, tmp_path):
    """Against a rate of next to nothing on the same draws: some epochs draw harder warps than others."""

    def trained(name, lr):
        settings = training(
            epochs=3, iterations_per_epoch=8, lr=lr, k=0.3, weights={"features": 0, "consistency": 0}
        )
        reports = []
        network = run(settings, photos, tmp_path / name, on_epoch=reports.append)
        assert {report.losses["features"] for report in reports} == {0.0}
        before = build_geowarp(settings.network).state_dict()
        after = network.state_dict()
        assert all(torch.equal(after[key], t) for key, t in before.items() if key.startswith("encoder."))
        return [report.losses["self_supervised"] for report in reports]

    still, learned = trained("still", 1e-12), trained("learned", 0.002)
    assert learned[-1] < 0.9 * still[-1]


def test_every_loss_reaches_the_regression(photos, tmp_path):
    nothing = dict.fromkeys(("self_supervised", "consistency", "features"), 0.0)
    for name in nothing:
        settings = training(epochs=1, iterations_per_epoch=2, weights=nothing | {name: 1.0}, weight_decay=0)
        before = build_geowarp(settings.network).regression.linear.weight.clone()
        after = run(settings, photos, tmp_path / name).regression.linear.weight
        # At the identity all predictions agree, so the consistency loss alone has nothing to teach yet.
        assert torch.equal(after, before) == (name == "consistency"), name


def test_other_settings_are_refused(photos, tmp_path):
    run(training(epochs=1), photos, tmp_path / "run")
    with pytest.raises(CheckpointError, match=r"other settings \(lr\).*--set name"):
        run(training(lr=0.5), photos, tmp_path / "run")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"photos": {"folder": "/x", "content_hash": "bb"}}, "other photos in data.train"),
        ({"pairs_by": "two"}, "pairs by one there and two here, see --model"),
        ({"encoder_sha256": "cc"}, "other content of encoder_weights"),
    ],
)
def test_another_lineage_is_refused(photos, tmp_path, changed, words):
    run(training(epochs=1), photos, tmp_path / "run")
    with pytest.raises(CheckpointError, match=words):
        run(training(), photos, tmp_path / "run", lineage=LINEAGE | changed)
    moved = {"photos": {"folder": "/y", "content_hash": "aa"}}
    run(training(), photos, tmp_path / "run", lineage=LINEAGE | moved)


def test_fewer_epochs_than_there_are_is_refused(photos, tmp_path):
    run(training(), photos, tmp_path / "run")
    with pytest.raises(CheckpointError, match=r"end of 2 epochs, more than epochs=1; set that many or more"):
        run(training(epochs=1), photos, tmp_path / "run")
    run(training(), photos, tmp_path / "run")


def test_a_loss_that_is_not_finite_is_said(photos, tmp_path):
    with pytest.raises(DivergedError, match="lower lr"):
        run(training(lr=1e30, epochs=1), photos, tmp_path / "run")


def test_too_few_pairs_are_said(photos):
    with pytest.raises(DataError, match=r"1 pairs of query and positive.*batch of 2"):
        WarpBatches(training(), photos, PAIRS[:1], 0)


def test_epochs_have_draws_of_their_own(photos):
    one, two = (WarpBatches(training(), photos, PAIRS, epoch) for epoch in (0, 1))
    assert not np.array_equal(one.uniforms(0), two.uniforms(0))
    np.testing.assert_array_equal(one.uniforms(1), WarpBatches(training(), photos, PAIRS, 0).uniforms(1))
    groups = one[0].groups
    assert [len(group.ids) for group in groups] == [2, 2, 2]
    chosen = set(map(tuple, np.column_stack([groups[1].ids, groups[2].ids]).tolist()))
    assert chosen <= set(map(tuple, PAIRS.tolist()))
