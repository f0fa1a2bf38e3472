from __future__ import annotations

import pytest


@pytest.mark.parametrize("word", ["imagenet", "none", "bundled"])
def test_words(load, word, tmp_path):
    assert load(f"trial: {{weights: {word}}}").default_trial()[0].weights == word


def test_a_misspelt_word(problems):
    assert problems("trial:\n  weights: imagnet\n  backbone: {name: a, weights: xyz}\n") == [
        "space.yaml:4: trial.weights: must be imagenet, none, bundled or a file, got 'imagnet'; "
        "nearest: imagenet",
        "space.yaml:5: trial.backbone.weights: must be imagenet, none, bundled or a file, got 'xyz'",
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
