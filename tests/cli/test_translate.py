"""`vgsearch translate` as a user types it, on the tiny city."""

from __future__ import annotations

import io
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from PIL import Image

from tests.cli.test_bad_input import assert_refused
from tests.translation.oracle import write_author_files
from vgsearch.cli.sealed_tests import Seal
from vgsearch.data.index import index_folder
from vgsearch.data.retrieval_set import load_retrieval_set
from vgsearch.models.checkpoint import read_spec
from vgsearch.registry.kept_tests import kept_tests
from vgsearch.reporting.paper.our_tests import OurTest
from vgsearch.retrieval.recall import RetrievalResult


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_author_files(tmp_path_factory.mktemp("weights"))


def test_queries_with_a_preview(vgsearch, weights, tiny_city, tmp_path):
    queries = tiny_city / "val_night" / "queries"
    options = ["--weights", weights, "--resize-px", 32, "--precision", "fp32", "--preview", "look.jpg"]
    run = vgsearch("translate", queries, "out", "--from", "night", "--to", "day", *options)
    assert run.code == 0, run.err
    assert "night to day: out" in run.out
    out, original = index_folder(tmp_path / "out"), index_folder(queries)
    assert out.paths == original.paths
    assert out.read(0).shape == original.read(0).shape
    record = yaml.safe_load((tmp_path / "out" / "translation.yaml").read_text())
    assert (record["from"], record["to"], record["epoch"]) == ("night", "day", 150)
    assert set(record["sha256"]) == {"150_net_G1.pth", "150_net_G2.pth"}
    assert record["shorter_side_px"] == 32
    assert Image.open(io.BytesIO((tmp_path / "look.jpg").read_bytes())).format == "JPEG"


def test_a_split_with_either_method(vgsearch, weights, tiny_city, tmp_path):
    split = tiny_city / "val_night"
    run = vgsearch("translate", split, "gan", "--part", "queries", "--weights", weights, "--resize-px", 16)
    assert run.code == 0, run.err
    assert "score it: vgsearch evaluate MODEL --on gan" in run.out
    options = ["--part", "queries", "--method", "brighten", "--like", split / "database"]
    run = vgsearch("translate", "photos", split, "bright", *options)
    assert run.code == 0, run.err
    for name in ("gan", "bright"):
        assert (tmp_path / name / "database").is_symlink()
        assert index_folder(tmp_path / name / "database").paths == index_folder(split / "database").paths
    night, bright = index_folder(split / "queries"), index_folder(tmp_path / "bright" / "queries")
    assert bright.read(0).float().mean() > 1.5 * night.read(0).float().mean()


def test_a_translated_test_is_counted_as_that_test_and_kept_as_a_translation(
    vgsearch, own_searched_store, tmp_path
):
    registry, home, _ = own_searched_store
    version = registry.versions("pot")[0]
    split = Path(read_spec(registry.download(version.reference)).data.tests["day"])
    options = ["--part", "queries", "--method", "brighten", "--like", split / "database"]
    assert vgsearch("translate", "photos", split, "bright", *options).code == 0
    run = vgsearch("evaluate", version.reference, "--on", tmp_path / "bright", "--home", home)
    assert run.code == 0, run.err
    (scoring,) = registry.scored_tests("pot")
    assert (scoring.split, scoring.reference) == ("day", version.reference)
    assert "scored" in run.out
    kept = [
        (name, OurTest(name, RetrievalResult.from_npz(npz)))
        for name, npz in kept_tests(registry, version, scoring.model)
    ]
    # Artifacts are those of a store that other tests share.
    ((name, own),) = [(name, test) for name, test in kept if test.result.stamp == scoring.stamp]
    assert name == "day"
    assert own.translated is not None
    assert (own.translated.kind, own.translated.part) == ("brighten", "queries")


def test_a_test_whose_photos_were_changed_in_another_way_is_not_kept(vgsearch, own_searched_store, tmp_path):
    registry, home, _ = own_searched_store
    version = registry.versions("pot")[0]
    split = Path(read_spec(registry.download(version.reference)).data.tests["day"])
    assert vgsearch("fda", split / "queries", split / "database", "styled/queries").code == 0
    (tmp_path / "styled" / "database").symlink_to(split / "database")
    run = vgsearch("evaluate", version.reference, "--on", tmp_path / "styled", "--home", home)
    assert run.code == 0, run.err
    (scoring,) = registry.scored_tests("pot")
    stamps = [RetrievalResult.from_npz(npz).stamp for _, npz in kept_tests(registry, version, scoring.model)]
    assert scoring.split == "day"
    assert scoring.stamp not in stamps


def test_a_translated_split_that_is_a_test_of_its_own_is_counted_as_itself(vgsearch, tiny_city, tmp_path):
    split = tiny_city / "val_night"
    options = ["--part", "queries", "--method", "brighten", "--like", split / "database"]
    assert vgsearch("translate", "photos", split, "bright", *options).code == 0
    tests = {"night": str(split), "bright": str(tmp_path / "bright")}
    model = SimpleNamespace(spec=SimpleNamespace(data=SimpleNamespace(tests=tests)))
    seal = Seal(model, tmp_path)
    assert [seal.test_of(load_retrieval_set(Path(folder), 25)) for folder in tests.values()] == list(tests)


def test_help_names_both_commands(vgsearch):
    run = vgsearch("translate", "--help")
    assert run.code == 0
    assert re.search(r"photos .*Write translated copies", run.out)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], ["--method gan needs --weights DIR"]),
        (["--weights", "nowhere"], ["nowhere is no folder"]),
        (["--weights", "WEIGHTS", "--like", "x"], ["no use for --like"]),
        (["--weights", "WEIGHTS", "--from", "dusk"], ["--from must be one of day, night", "'dusk'"]),
        (["--weights", "WEIGHTS", "--domains", "day,dusk,night"], ["no 150_net_G4.pth, 150_net_G5.pth"]),
        (["--weights", "WEIGHTS", "--resize-px", "8"], ["at least 16 px, got 8"]),
        (["--weights", "WEIGHTS", "--preview", "out/look.jpg"], ["--preview out/look.jpg lies in out"]),
        (["--method", "brighten"], ["--method brighten goes with --like FOLDER"]),
        (["--method", "brighten", "--like", "x", "--epoch", "3"], ["without --epoch"]),
        (["--method", "brighten", "--like", "nowhere"], ["nowhere does not exist"]),
    ],
)
def test_what_is_refused(vgsearch, weights, tiny_city, tmp_path, options, words):
    given = [weights if word == "WEIGHTS" else word for word in options]
    run = vgsearch("translate", tiny_city / "val_night" / "queries", "out", *given)
    assert len(assert_refused(run, *words)) == 1
    assert not (tmp_path / "out").exists()


def test_a_split_needs_its_part(vgsearch, weights, tiny_city):
    run = vgsearch("translate", tiny_city / "val_night", "out", "--weights", weights)
    assert_refused(run, "is a split: say --part queries or --part database")


TINY = ["channels=4", "blocks=2", "discriminator_channels=4", "discriminator_layers=2", "load_px=40"]
TINY += ["crop_px=32", "epochs=1", "decay_epochs=1", "iterations_per_epoch=2", "precision=fp32"]


def train_options(city, *more):
    settings = [word for setting in [*TINY, *more] for word in ("--set", setting)]
    return ["translate", "train", city / "target_night", city / "train", "--out", "gan", *settings]


@pytest.mark.slow
def test_train_resume_and_translate(vgsearch, own_store, tiny_city, tmp_path):
    run = vgsearch(*train_options(tiny_city), "--against", tiny_city / "test_night")
    assert run.code == 0, run.err
    assert re.search(r"epoch 2 of 2: generator \d\.\d+, cycle \d\.\d+, discriminator \d\.\d+", run.out)
    assert "recorded as translator-" in run.out
    record = yaml.safe_load((tmp_path / "gan" / "epoch_0002" / "training.yaml").read_text())
    assert record["checked_against"] == [str(tiny_city / "test_night")]
    assert record["photos"]["night"]["photos"] == len(index_folder(tiny_city / "target_night"))
    assert len(list((tmp_path / "runs" / "artifacts").rglob("translator/translator.safetensors"))) == 1
    again = vgsearch(*train_options(tiny_city))
    assert_refused(again, "holds a training of 2 epochs: --resume")
    assert vgsearch(*train_options(tiny_city), "--resume").code == 0
    assert_refused(
        vgsearch(*train_options(tiny_city, "lr=1"), "--resume"), "other settings: lr (0.0002 there, 1.0"
    )
    queries = tiny_city / "val_night" / "queries"
    done = vgsearch("translate", queries, "out", "--weights", "gan")
    assert done.code == 0, done.err
    assert yaml.safe_load((tmp_path / "out" / "translation.yaml").read_text())["shorter_side_px"] == 40


def test_queries_of_a_test_are_no_training_photos(vgsearch, own_store, tiny_city):
    test = tiny_city / "test_night"
    options = ["translate", "train", test / "queries", tiny_city / "train", "--out", "gan", "--against", test]
    assert_refused(vgsearch(*options), "are queries of", "--leave-out")


def test_settings_that_are_refused(vgsearch, tiny_city):
    assert_refused(
        vgsearch(*train_options(tiny_city, "crop_ps=3")), "--set crop_ps: no such key; nearest: crop_px"
    )
    run = vgsearch(*train_options(tiny_city), "--names", "night")
    assert_refused(run, "--names must be two names")
