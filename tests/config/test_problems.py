"""The wording of every rule of the schema, as a researcher reads it."""

from __future__ import annotations

import pytest

from vgsearch.config.problems import Problem, raise_problems
from vgsearch.config.tree import Place
from vgsearch.errors import ConfigError

LOSSES = "cosface, arcface, sphereface, combined"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("trial: {epochs: 0}", "trial.epochs: must be at least 1, got 0"),
        ("trial: {lr: 0}", "trial.lr: must be greater than 0, got 0"),
        ("trial: {lr: -1e-5}", "trial.lr: must be greater than 0, got -1e-05"),
        ("trial: {lr: no}", "trial.lr: must be a number, got 'no'"),
        ("trial: {lr: true}", "trial.lr: must be a number, got true"),
        ("trial: {lr: null}", "trial.lr: must be a number, got null"),
        ("trial: {lr: .inf}", "trial.lr: must be a finite number, got inf"),
        ("trial: {lr: [1]}", "trial.lr: must be a number, got a list"),
        ("trial: {epochs: 12:30}", "trial.epochs: must be a whole number, got '12:30'"),
        ("trial: {epochs: 1.5}", "trial.epochs: must be a whole number, got 1.5"),
        ("trial: {epochs: true}", "trial.epochs: must be a whole number, got true"),
        ("trial: {epochs: 0x10}", "trial.epochs: must be a whole number, got '0x10'"),
        ("trial: {trainable_stages: false}", "trial.trainable_stages: must be a whole number, got false"),
        ("trial: {augment: {hue: 0.6}}", "trial.augment.hue: must be at most 0.5, got 0.6"),
        ("trial: {augment: {fda_beta: 0.5}}", "trial.augment.fda_beta: must be less than 0.5, got 0.5"),
        ("trial: {augment: {perspective: 1}}", "trial.augment.perspective: must be at most 0.6, got 1"),
        (
            "trial: {loss: {name: cosface, margin_cos: 2}}",
            "trial.loss.margin_cos: must be less than 2, got 2",
        ),
        ("trial: {compile: maybe}", "trial.compile: must be true or false, got 'maybe'"),
        ("trial: {weights: ''}", "trial.weights: must not be empty, got ''"),
        ("trial: {weights: 3}", "trial.weights: must be text, got 3; put it in quotes"),
        (
            "trial: {precision: bf61}",
            "trial.precision: must be one of auto, fp32, bf16, fp16, got 'bf61'; nearest: bf16",
        ),
        ("trial: {frozen_bn: 3}", "trial.frozen_bn: must be one of eval, batch, got 3"),
        ("trial: {backbone: 3}", "trial.backbone: must be text or a mapping, got 3; put it in quotes"),
        ("trial: {backbone: [a]}", "trial.backbone: must be text or a mapping, got a list"),
        ("trial: {backbone: {weights: none}}", "trial.backbone.name: required key is missing; add it"),
        ("trial: {backbone: {name: 3}}", "trial.backbone.name: must be text, got 3; put it in quotes"),
        (
            "trial: {backbone: {name: a, weight: none}}",
            "trial.backbone.weight: unknown key; nearest: weights",
        ),
        ("trial: {loss: cosface}", "trial.loss: must be a mapping, got 'cosface'; write {name: cosface}"),
        ("trial: {loss: null}", "trial.loss: must be a mapping, got null"),
        (
            "trial: {loss: {name: cosfase}}",
            f"trial.loss.name: must be one of {LOSSES}, got 'cosfase'; nearest: cosface",
        ),
        ("trial: {loss: {name: 3}}", f"trial.loss.name: must be one of {LOSSES}, got 3"),
        ("trial: {loss: {scale: 3}}", f"trial.loss.name: required key is missing; add one of {LOSSES}"),
        ("trial: {loss: {name: cosface, scael: 3}}", "trial.loss.scael: unknown key; nearest: scale"),
        (
            "trial: {loss: {name: cosface, cosface: 3}}",
            "trial.loss.cosface: unknown key; valid keys: name, scale, margin_cos",
        ),
        (
            "trial: {n_startup: 4}",
            "trial.n_startup: unknown key here; it belongs at search.sampler.n_startup",
        ),
        ("trial: {zzz: 4, epochs: 1}", None),
        ("epochs: 4", "epochs: unknown key here; it belongs at trial.epochs"),
        ("tirals: {}", "tirals: unknown key; nearest: trial"),
        ("trial: 3", "trial: must be a mapping, got 3"),
        ("trial: [a]", "trial: must be a mapping, got a list"),
        ("search: {sampler: tpe}", "search.sampler: must be a mapping, got 'tpe'"),
        (
            "search: {sampler: {name: tpee}}",
            "search.sampler.name: must be one of tpe, gp, cmaes, random, grid, qmc, got 'tpee'; nearest: tpe",
        ),
        (
            "search: {sampler: {seed: 99999999999}}",
            "search.sampler.seed: must be less than 2147483648, got 99999999999",
        ),
        ("search: {num_trials: 0}", "search.num_trials: must be at least 1, got 0"),
        ("resources: {gpus_per_trial: -1}", "resources.gpus_per_trial: must be at least 0, got -1"),
        ("resources: {cpus_per_trial: 0}", "resources.cpus_per_trial: must be greater than 0, got 0"),
        ("eval: {resize_px: 3}", "eval.resize_px: must be at least 16, got 3"),
    ],
)
def test_wording(problems, text, problem):
    found = problems(text)
    if problem is None:
        assert found[0].startswith("space.yaml:3: trial.zzz: unknown key; valid keys: backbone, weights, ")
    else:
        assert found == [f"space.yaml:3: {problem}"]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ("{val: v}", "data.train: required key is missing; add it"),
        ("{train: t}", "data.val: required key is missing; add it"),
        ("{train: 3, val: v}", "data.train: must be text, got 3; put it in quotes"),
        ("{train: t, val: 3}", "data.val: must be text or a mapping, got 3; put it in quotes"),
        ("{train: t, val: [a]}", "data.val: must be text or a mapping, got a list"),
        ("{train: t, val: v, tests: [a]}", "data.tests: must be a mapping, got a list"),
        ("{train: t, val: v, tests: {a: 3}}", "data.tests.a: must be text, got 3; put it in quotes"),
        (
            "{train: t, val: v, demo_city: {size: big}}",
            "data.demo_city.size: must be one of tiny, small, full, got 'big'",
        ),
        (
            "{train: t, val: v, positive_distance_m: 0}",
            "data.positive_distance_m: must be greater than 0, got 0",
        ),
        ("3", "data: must be a mapping, got 3"),
    ],
)
def test_wording_in_data(problems, data, problem):
    assert problems(f"name: a\ndata: {data}\n") == [f"space.yaml:2: {problem}"]


def test_a_split_that_is_called_like_a_type_keeps_its_name(problems):
    text = "name: a\ndata: {train: t, val: {str: 3, day: v}}\nsearch: {objective: val/day/recall_at_1}\n"
    assert problems(text) == ["space.yaml:2: data.val.str: must be text, got 3; put it in quotes"]


def test_a_long_or_odd_value_stays_on_one_line(problems):
    (problem,) = problems('trial: {lr: "' + "x" * 300 + '\\n"}')
    assert problem == f"space.yaml:3: trial.lr: must be a number, got '{'x' * 60}...'"
    (problem,) = problems('trial: {"a\\nb": 3}')
    assert problem.startswith("space.yaml:3: trial.a\\nb: unknown key")


def test_problems_are_sorted_and_only_the_first_about_a_value_is_kept():
    late, early = Place(0, 9, 0, "f"), Place(0, 2, 0, "f")
    with pytest.raises(ConfigError) as caught:
        raise_problems(
            [Problem(late, ("a",), "one"), Problem(late, ("a",), "two"), Problem(early, ("b",), "x")]
        )
    assert caught.value.problems == ["f:2: b: x", "f:9: a: one"]
    raise_problems([])
