from __future__ import annotations


def test_true_is_no_number_anywhere(problems):
    assert problems(
        "trial:\n  batch_size: true\n  loss: !choice\n    - {name: arcface, margin_rad: false}\n"
        "  epochs: !choice [true, 2]\nresources: {loader_threads: true}\n"
    ) == [
        "space.yaml:4: trial.batch_size: must be a whole number, got true",
        "space.yaml:6: trial.loss.margin_rad: must be a number, got false",
        "space.yaml:7: trial.epochs: must be a whole number, got true",
        "space.yaml:8: resources.loader_threads: must be a whole number, got true",
    ]


def test_true_where_true_belongs(load):
    trial, _ = load("trial: {compile: true, loss: {name: arcface, detach_margin: true}}").default_trial()
    assert trial.compile is True
    assert trial.loss.detach_margin is True
