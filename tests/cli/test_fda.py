"""`evaluate --fda` and `vgsearch fda` as a user types them, on the tiny city."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.test_bad_input import assert_refused
from vgsearch.config.search import DataConfig, EvalConfig, TrialSpec
from vgsearch.config.trial import TrialConfig
from vgsearch.data.index import index_folder
from vgsearch.models.checkpoint import save_checkpoint
from vgsearch.models.network import build_network
from vgsearch.retrieval.recall import RetrievalResult

TRIAL = TrialConfig(backbone="test_resnet.r160_in1k", weights="none", descriptor_dim=16)


@pytest.fixture(scope="module")
def checkpoint(tiny_city: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with its initial weights."""
    data = DataConfig(
        train=str(tiny_city / "train"),
        val=str(tiny_city / "val_night"),
        tests={"night": str(tiny_city / "test_night")},
    )
    spec = TrialSpec(search="quick", uid="quick-0", trial=TRIAL, data=data, eval=EvalConfig(resize_px=64))
    folder = tmp_path_factory.mktemp("models") / "epoch_0001"
    save_checkpoint(folder, build_network(TRIAL), spec, {"epoch": 1})
    return folder


def recalls(line: str) -> str:
    return re.search(r"R@1 .*? queries", line)[0]


def test_the_four_settings_each_with_a_key_of_its_own(
    vgsearch, checkpoint, own_store, tmp_path, forward_passes
):
    plain = vgsearch("evaluate", checkpoint, "--on", "val", "--save", "scores")
    assert plain.code == 0, plain.err
    number = int(re.search(r"database (\d+)", plain.out)[1])
    names = ["train_to_split", "database_to_queries", "queries_to_database", "queries_to_database_add"]
    lines, stamps = [plain.out], {RetrievalResult.from_npz(tmp_path / "scores" / "val.npz").stamp}
    for setting in names:
        options = ["evaluate", checkpoint, "--on", "val", "--fda", setting, "--fda-beta", 0.05]
        run = vgsearch(*options, "--save", "scores")
        assert run.code == 0, run.err
        name = f"val-fda-{setting}-beta0.05-seed0"
        assert f"{name}: R@1" in run.out
        assert f"FDA {setting}, beta 0.05, seed 0" in run.out
        assert f"database {number * (2 if setting.endswith('add') else 1)}," in run.out
        assert "; from stored descriptors" not in run.out
        stamps.add(RetrievalResult.from_npz(tmp_path / "scores" / f"{name}.npz").stamp)
        lines.append(run.out)
        forward_passes.clear()
        again = vgsearch(*options)
        assert recalls(again.out) == recalls(run.out)
        assert "; from stored descriptors" in again.out
        assert not forward_passes
        assert recalls(vgsearch(*options, "--no-store").out) == recalls(run.out)
    assert len(stamps) == 5
    again = vgsearch("evaluate", checkpoint, "--on", "val")
    assert "; from stored descriptors" in again.out
    assert recalls(again.out) == recalls(plain.out)
    listed = vgsearch("descriptors", "ls")
    assert "val_night/queries, in the style of database (FDA, beta 0.05)" in " ".join(listed.out.split())


def test_folders_written_by_fda_score_about_the_same(vgsearch, checkpoint, own_store, tiny_city, tmp_path):
    split = tiny_city / "val_night"
    run = vgsearch("fda", split / "queries", split / "database", "styled/queries", "--beta", 0.05)
    assert run.code == 0, run.err
    assert "photos of" in run.out
    (tmp_path / "styled" / "database").symlink_to(split / "database")
    assert index_folder(tmp_path / "styled" / "queries").paths == index_folder(split / "queries").paths
    by_folder = vgsearch("evaluate", checkpoint, "--on", "styled")
    by_setting = vgsearch(
        "evaluate", checkpoint, "--on", "val", "--fda", "database_to_queries", "--fda-beta", 0.05
    )
    values = [float(re.search(r"R@20 ([\d.]+)", run.out)[1]) for run in (by_folder, by_setting)]
    assert abs(values[0] - values[1]) < 10  # a JPEG more, and an untrained network


def test_style_of_a_folder(vgsearch, checkpoint, own_store, tiny_city):
    options = ["evaluate", checkpoint, "--on", "val", "--fda", "train_to_split"]
    run = vgsearch(*options, "--fda-style", tiny_city / "target_night", "--fda-seed", 4)
    assert run.code == 0, run.err
    assert "FDA train_to_split, beta 0.01, seed 4" in run.out
    other = index_folder(tiny_city / "target_night").content_hash[:8]
    assert f"val-fda-train_to_split-beta0.01-seed4-style{other}: R@1" in run.out
    run = vgsearch(*options, "--fda-style", tiny_city / "train")
    assert "val-fda-train_to_split-beta0.01-seed0: R@1" in run.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--fda-beta", "0.1"], ["go with --fda"]),
        (["--fda-seed", "1"], ["go with --fda"]),
        (["--fda", "database_to_queries", "--fda-beta", "0.5"], ["--fda-beta must be above 0", "0.5"]),
        (["--fda", "database_to_queries", "--fda-beta", "0"], ["--fda-beta must be above 0", "got 0"]),
        (["--fda", "database_to_queries", "--fda-beta", "nan"], ["--fda-beta must be above 0", "got nan"]),
        (["--fda", "database_to_queries", "--fda-style", "x"], ["--fda-style goes with"]),
        (["--fda", "train_to_split", "--fda-style", "nowhere"], ["nowhere"]),
    ],
)
def test_what_is_refused(vgsearch, checkpoint, own_store, options, words):
    assert len(assert_refused(vgsearch("evaluate", checkpoint, "--on", "val", *options), *words)) == 1


def test_training_photos_that_are_gone(vgsearch, own_store, checkpoint, tmp_path):
    moved = tmp_path / "moved"
    moved.mkdir()
    for file in checkpoint.iterdir():
        text = file.read_bytes()
        (moved / file.name).write_bytes(text.replace(b"/train\n", b"/gone\n"))
    run = vgsearch("evaluate", moved, "--on", "val", "--fda", "train_to_split")
    assert_refused(run, "/gone is not there", "--fda-style")


def test_fda_folder_is_refused(vgsearch, tiny_city, tmp_path):
    photos, style = tiny_city / "val_night" / "queries", tiny_city / "target_night"
    assert_refused(vgsearch("fda", photos, style, tiny_city), "must be new")
    assert_refused(vgsearch("fda", photos, style, "out", "--beta", 0.6), "--beta must be above 0")
    assert_refused(vgsearch("fda", photos, tmp_path / "none", "out"), "none")
    assert not (tmp_path / "out").exists()


def test_training_with_styles_is_refused_without_a_target(vgsearch, space_file, own_city):
    run = vgsearch("train", space_file, "--set", "trial.augment.fda_beta=0.01")
    assert len(assert_refused(run, "trial.augment.fda_beta", "data.target_domain")) == 1
