"""The commands as a user types them, one after another, on the tiny city."""

import json
import re

import numpy as np
import pytest

from vgsearch import __version__
from vgsearch.retrieval.recall import RetrievalResult


def test_version_and_help(vgsearch):
    assert vgsearch("--version").out.strip() == f"vgsearch {__version__}"
    for command in ("tune", "train", "evaluate", "best", "ui", "validate", "data"):
        assert command in vgsearch("--help").out
        assert vgsearch(command, "--help").code == 0


def test_validate_lists_what_is_searched(vgsearch, space_file, own_city):
    run = vgsearch("validate", space_file)
    assert run.code == 0, run.err
    assert "trial.loss.0_cosface.scale" in run.out
    assert "!uniform [20, 64]" in run.out
    run = vgsearch("validate", space_file, "--set", "trial.precision=!choice [auto, fp32]")
    assert "!choice [auto, fp32]" in run.out


def test_train_then_evaluate_then_best(vgsearch, space_file, own_city, tmp_path):
    run = vgsearch("train", space_file, "--set", "trial.loss.name=cosface", "--set", "trial.epochs=2")
    assert run.code == 0, run.err
    assert "trial.loss.scale = 42, the middle of !uniform [20, 64]" in run.out or "scale = 42" in run.out
    assert "epoch 2/2" in run.out
    reference = re.search(r"models:/vgsearch-quick_train/\d+", run.out)[0]
    (best,) = re.findall(r"checkpoint: (\S+)", run.out)

    # The printed recall is the stored one, and evaluate finds it again from weights and photos.
    stored = RetrievalResult.from_npz(tmp_path / best / "val.npz")
    assert f"R@1 {stored.at(1)}" in run.out
    for checkpoint in (best, reference, "models:/vgsearch-quick_train@champion"):
        again = vgsearch("evaluate", checkpoint, "--on", "val", "--on", "day", "--save", "scores")
        assert again.code == 0, again.err
        assert stored.summary() in again.out
        scored = RetrievalResult.from_npz(tmp_path / "scores" / "val.npz")
        np.testing.assert_array_equal(scored.first_hit_rank, stored.first_hit_rank)
        assert "test/day" in again.out

    run = vgsearch("best", "quick_train")
    assert run.code == 0, run.err
    assert "models:/vgsearch-quick_train@champion" in run.out
    snippet = run.out[run.out.index("import torch") :]
    photo = next((own_city / "train").glob("*.jpg"))
    names = {}
    exec(snippet.replace("photo.jpg", str(photo)), names)  # the snippet is ours and must run as printed
    assert names["descriptor"].shape == (1, 16)
    assert float(names["descriptor"].norm()) == pytest.approx(1, abs=1e-5)

    # The same trial again is recognised and not trained again.
    run = vgsearch("train", space_file, "--set", "trial.loss.name=cosface", "--set", "trial.epochs=2")
    assert "2 epochs are done already; it is finished" in run.out
    assert reference in run.out


@pytest.mark.slow
def test_a_longer_epoch_list_is_another_trial(vgsearch, space_file, own_city, tmp_path):
    for epochs in (1, 2):
        assert vgsearch("train", space_file, "--set", f"trial.epochs={epochs}").code == 0
    folders = [folder for folder in (tmp_path / "runs" / "trials").iterdir() if folder.is_dir()]
    assert len(folders) == 2
    for folder in folders:
        (latest,) = sorted(folder.glob("epoch_*"))[-1:]
        assert len(json.loads((latest / "metrics.json").read_text())["history"]) == int(latest.name[-4:])


def test_data_check(vgsearch, own_city):
    run = vgsearch("data", "check", own_city / "train", "--min-images", "1", "--groups-used", "1")
    assert run.code == 0, run.out
    assert "training photos" in run.out
    assert vgsearch("data", "check", own_city / "val_day").code == 0
    (own_city / "val_day" / "queries" / "@1@2@broken@.jpg").write_bytes(b"no picture")
    run = vgsearch("data", "check", own_city / "val_day")
    assert run.code == 2
    assert "broken" in run.out


def test_data_demo(vgsearch, tmp_path):
    assert vgsearch("data", "demo", "city", "--size", "tiny").code == 0
    photos = list((tmp_path / "city").rglob("*.jpg"))
    before = {photo: photo.stat().st_mtime_ns for photo in photos}
    assert vgsearch("data", "demo", "city", "--size", "tiny").code == 0
    assert {photo: photo.stat().st_mtime_ns for photo in photos} == before
    run = vgsearch("data", "demo", "city", "--size", "tiny", "--seed", "7")
    assert run.code == 2
    assert "city" in run.err
