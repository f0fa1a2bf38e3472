from __future__ import annotations

import pytest

from vgsearch.config.weight_files import RecordedWeights
from vgsearch.errors import RegistryError


@pytest.mark.parametrize("word", ["imagenet", "none", "bundled"])
def test_words(load, word, tmp_path):
    assert load(f"trial: {{weights: {word}}}").default_trial()[0].weights == word


def test_a_misspelt_word(problems):
    assert problems("trial:\n  weights: imagnet\n  backbone: {name: a, weights: xyz}\n") == [
        "space.yaml:4: trial.weights: must be imagenet, none, bundled, a file or a recorded model, got "
        "'imagnet'; "
        "nearest: imagenet",
        "space.yaml:5: trial.backbone.weights: must be imagenet, none, bundled, a file or a recorded "
        "model, got 'xyz'",
    ]


def test_files_start_at_the_data_root_in_every_option(load, tmp_path):
    for folder in ("train", "val", "w"):
        (tmp_path / folder).mkdir()
    for file in ("places.pth", "w/gldv2", "b.safetensors"):
        (tmp_path / file).touch()
    text = (
        "trial:\n  weights: !choice [places.pth, w/gldv2, none]\n"
        "  backbone: !choice [x, {name: y, weights: b.safetensors}, {name: z}]\n"
    )
    document = load(text, data_root=tmp_path)
    trials = document.example_trials()
    assert [trial.weights for trial in trials] == [f"{tmp_path}/places.pth", f"{tmp_path}/w/gldv2", "none"]
    assert trials[1].backbone.weights == f"{tmp_path}/b.safetensors"
    assert load(text).example_trials()[0].weights == "places.pth"


def test_a_missing_file(problems, tmp_path):
    for folder in ("train", "val"):
        (tmp_path / folder).mkdir()
    assert problems("trial: {weights: w/x.pth}\n", data_root=tmp_path) == [
        "space.yaml:3: trial.weights: file w/x.pth does not exist; a relative path starts at the data root"
    ]


def test_a_checkpoints_folder_stands_for_the_weights_in_it(load, problems, tmp_path):
    for folder in ("train", "val", "epoch_0001", "empty/x"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "epoch_0001" / "model.safetensors").touch()
    trial = load("trial: {weights: ./epoch_0001/}\n", data_root=tmp_path).default_trial()[0]
    assert trial.weights == f"{tmp_path}/epoch_0001/model.safetensors"
    assert problems("trial: {weights: empty/x}\n", data_root=tmp_path) == [
        "space.yaml:3: trial.weights: empty/x is a folder without model.safetensors; give a file or a "
        "checkpoint's folder"
    ]


def test_a_recorded_model_becomes_the_file_of_its_weights(load, tmp_path):
    for folder in ("train", "val"):
        (tmp_path / folder).mkdir()
    for number in (1, 2):
        (tmp_path / f"{number}.safetensors").touch()
    files = [tmp_path / f"{number}.safetensors" for number in (1, 2)]
    found = {
        "models:/vgsearch-a/1": RecordedWeights(files[0]),
        "models:/vgsearch-a/2": RecordedWeights(files[1], {"vgsearch.transductive": "true"}),
    }
    text = (
        "trial: {weights: !choice [none, models:/vgsearch-a/1, models:/vgsearch-a/2]}\n"
        "search: {start_with: [{weights: models:/vgsearch-a/2}]}\n"
    )
    document = load(text, data_root=tmp_path, find_recorded=found.__getitem__)
    assert [t.weights for t in document.example_trials()] == ["none", *map(str, files)]
    assert document.inherited_tags == {"vgsearch.transductive": "true"}
    assert document.start_with == ({"trial.weights": f"{tmp_path}/2.safetensors"},)
    assert load(text).example_trials()[1].weights == "models:/vgsearch-a/1"
    text = "trial: {weights: models:/vgsearch-a/1}\n"
    assert load(text, data_root=tmp_path, find_recorded=found.__getitem__).inherited_tags == {}


def test_a_model_that_is_not_recorded(problems, tmp_path):
    for folder in ("train", "val"):
        (tmp_path / folder).mkdir()

    def find_recorded(reference):
        raise RegistryError(f"{reference} is not there")

    text = (
        "trial: {backbone: {name: x, weights: models:/a/1}}\n"
        "search: {start_with: [{backbone: {name: x, weights: runs:/b}}]}\n"
    )
    assert problems(text, data_root=tmp_path, find_recorded=find_recorded)[:2] == [
        "space.yaml:3: trial.backbone.weights: models:/a/1 is not there",
        "space.yaml:4: search.start_with.0.backbone.weights: runs:/b is not there",
    ]
