from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vgsearch.config.space import Choice, IntRange, LogUniform, Uniform
from vgsearch.errors import ConfigError

LOSSES = """\
trial:
  epochs: 9
  loss: !choice
    - {name: cosface, scale: !uniform [20, 64], margin_cos: !uniform [0.2, 0.5]}
    - {name: arcface, scale: !uniform [20, 64], margin_rad: 0.3}
    - {name: arcface, scale: 8, detach_margin: true}
  domain: !choice
    - null
    - {grl_alpha: !uniform [0.1, 1], placement: inline}
  backbone: !choice [resnet18, {name: resnet50, weights: none}]
"""


def tree(load, *overrides):
    return load(LOSSES, *overrides).space.tree


def test_a_value_is_read_as_yaml_with_tags(load):
    assert tree(load, "trial.epochs=1")["epochs"] == 1
    assert tree(load, "trial.lr=1e-4")["lr"] == 1e-4
    assert tree(load, "trial.epochs=!int [1, 5]")["epochs"] == IntRange(1, 5)
    assert tree(load, "trial.lr=!loguniform [1e-5, 1e-3]")["lr"] == LogUniform(1e-5, 1e-3)
    assert tree(load, "trial.loss={name: cosface, scale: 3}")["loss"] == {"name": "cosface", "scale": 3}
    assert tree(load, "trial.domain=null")["domain"] is None
    assert load(LOSSES, "name=other").name == "other"
    assert load(LOSSES, "search.num_trials=3", "resources.gpus_per_trial=0.5").search.num_trials == 3
    assert load(LOSSES, " trial.epochs = 1").overrides == (" trial.epochs = 1",)


def test_the_last_override_wins(load):
    assert tree(load, "trial.epochs=1", "trial.epochs=2")["epochs"] == 2


def test_absent_mappings_are_made(load):
    assert tree(load, "trial.augment.hue=0.1")["augment"] == {"hue": 0.1}
    assert load("search:", "search.sampler.n_startup=4").search.sampler.n_startup == 4


def test_an_absent_loss_starts_from_the_default_one(load):
    document = load("trial: {epochs: 1}", "trial.loss.scale=20")
    assert document.default_trial()[0].loss.model_dump() == {
        "name": "cosface",
        "scale": 20,
        "margin_cos": 0.4,
    }


def test_a_name_keeps_the_options_of_that_name(load):
    assert tree(load, "trial.loss.name=cosface")["loss"] == {
        "name": "cosface",
        "scale": Uniform(20, 64),
        "margin_cos": Uniform(0.2, 0.5),
    }
    kept = tree(load, "trial.loss.name=arcface")["loss"]
    assert isinstance(kept, Choice)
    assert [option["scale"] for option in kept.options] == [Uniform(20, 64), 8]
    assert tree(load, "trial.backbone.name=resnet50")["backbone"] == {"name": "resnet50", "weights": "none"}
    both = tree(load, "trial.loss.name=!choice [cosface, arcface]")["loss"]
    assert len(both.options) == 3


def test_another_key_is_set_in_every_option_that_has_it(load):
    options = tree(load, "trial.loss.scale=33")["loss"].options
    assert [option["scale"] for option in options] == [33, 33, 33]
    options = tree(load, "trial.loss.margin_rad=!uniform [0.1, 0.2]")["loss"].options
    assert [option.get("margin_rad") for option in options] == [None, Uniform(0.1, 0.2), Uniform(0.1, 0.2)]
    assert tree(load, "trial.domain.grl_alpha=0.5")["domain"].options == (
        None,
        {"grl_alpha": 0.5, "placement": "inline"},
    )
    assert tree(load, "trial.backbone.trainable_stages=2")["backbone"].options == (
        "resnet18",
        {"name": "resnet50", "weights": "none", "trainable_stages": 2},
    )


def test_nested_choices(load):
    text = "trial:\n  loss: !choice\n  - !choice [{name: cosface}, {name: arcface}]\n  - {name: sphereface}\n"
    loss = load(text, "trial.loss.margin_rad=0.2").space.tree["loss"]
    assert loss.options == (
        Choice(({"name": "cosface"}, {"name": "arcface", "margin_rad": 0.2})),
        {"name": "sphereface"},
    )
    assert load(text, "trial.loss.name=arcface").space.tree["loss"] == {"name": "arcface"}


def test_the_file_is_as_it_was(load):
    before = load(LOSSES)
    load(LOSSES, "trial.loss.scale=33")
    assert load(LOSSES).space == before.space
    assert load(LOSSES, "trial.loss.scale=33").text == before.text


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("trial.epochs", "--set trial.epochs: must look like key.path=value, got 'trial.epochs'"),
        ("=3", "--set : must look like key.path=value, got '=3'"),
        ("trial..epochs=3", "--set trial..epochs: must look like key.path=value, got 'trial..epochs=3'"),
        ("trial.epochs=", "--set trial.epochs: has no value; write trial.epochs=null for none"),
        (
            "trial.epochs=[1",
            "--set trial.epochs: not valid YAML: expected ',' or ']', but got '<stream end>'",
        ),
        ("trial.epochs=0", "--set trial.epochs: must be at least 1, got 0"),
        (
            "trial.epochs=!int [3, 1]",
            "--set trial.epochs: !int needs low < high, got [3, 1]; write a single value to fix it",
        ),
        ("trial.epocs=3", "--set trial.epocs: unknown key; nearest: epochs"),
        ("epochs=3", "--set epochs: unknown key here; it belongs at trial.epochs"),
        ("trial.lr.x=3", "--set trial.lr.x: trial.lr: must be a number, got a mapping"),
        (
            "trial.epochs.x=3",
            "--set trial.epochs.x: trial.epochs is 9, not a mapping; set trial.epochs as a whole",
        ),
        (
            "trial.loss.scale.x=3",
            "--set trial.loss.scale.x: no option of the !choice at trial.loss has the key scale.x; "
            "nearest: scale",
        ),
        (
            "trial.loss.name=cosfase",
            "--set trial.loss.name: no option of the !choice at trial.loss has this name; "
            "their names: cosface, arcface, arcface",
        ),
        (
            "trial.domain.name=x",
            "--set trial.domain.name: no option of the !choice at trial.domain has this name; "
            "their names: none",
        ),
        (
            "trial.loss.margin_red=1",
            "--set trial.loss.margin_red: no option of the !choice at trial.loss has the key margin_red; "
            "nearest: margin_rad",
        ),
        (
            "trial.loss.margin_rad=9",
            "--set trial.loss.margin_rad: must be less than 3.14, got 9",
        ),
        (
            "trial.loss={name: cosface, scale: -1}",
            "--set trial.loss: trial.loss.scale: must be greater than 0, got -1",
        ),
        (
            "data.train=!choice [a, b]",
            "--set data.train: only values inside trial can be searched; write one value",
        ),
    ],
)
def test_wrong_overrides(problems, override, problem):
    assert problems(LOSSES, override) == [problem]


def test_problems_of_the_file_come_first_then_overrides_in_turn(problems):
    assert problems("trial: {epochs: 0, lr: 0}", "trial.seed=-1", "trial.lr=2", "trial.batch_size=0") == [
        "space.yaml:3: trial.epochs: must be at least 1, got 0",
        "--set trial.seed: must be at least 0, got -1",
        "--set trial.batch_size: must be at least 1, got 0",
    ]


def test_an_override_mends_a_file(load):
    assert load("trial: {epochs: 0}", "trial.epochs=2").default_trial()[0].epochs == 2


@given(
    st.sampled_from(
        ["trial.loss", "trial.loss.name", "trial.domain.grl_alpha", "trial.backbone", "x", "data.val.d"]
    ),
    st.text(alphabet="ab: -[]{}!,'1?~0.ce", max_size=20)
    | st.sampled_from(["!choice [1, 1]", "[!choice [1, 1]]", "{name: arcface}", "!int [1, 2]", "&a [*a]"]),
    st.sampled_from(
        ["trial.loss.scale=3", "trial.backbone.name=resnet50", "trial.loss.a.b=1", "trial.x.y=2"]
    ),
)
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_override_is_taken_or_a_config_error(load, key, value, second):
    problems = ["one line"]
    try:
        load(LOSSES, f"{key}={value}", second)
    except ConfigError as error:
        problems = error.problems
    assert problems
    assert all(problem and "\n" not in problem for problem in problems)
