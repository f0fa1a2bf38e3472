from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SPACE = """\
trial:
  backbone: !choice [resnet18.tv_in1k, {name: mobilenetv3_large_100, trainable_stages: !int [1, 3]}]
  descriptor_dim: !choice [256, 512]
  loss: !choice
    - {name: cosface, scale: !uniform [20, 64], margin_cos: !uniform [0.2, 0.5]}
    - {name: arcface, scale: !uniform [20, 64], margin_rad: !uniform [0.2, 0.6]}
    - {name: sphereface, margin_mul: !uniform [1.1, 2.0]}
  domain: !choice
    - null
    - {grl_alpha: !uniform [0, 1], schedule: ramp}
  lr: !loguniform [1e-6, 1e-4]
  epochs: 3
"""
HEAD = "name: probe\ndata: {train: train, val: val, target_domain: night}\n"


def with_entries(*entries: str, space: str = SPACE) -> str:
    return HEAD + space + "search:\n  start_with:\n" + "".join(f"    - {entry}\n" for entry in entries)


def test_a_file_without_entries_starts_with_none(load):
    assert load(HEAD + SPACE).start_with == ()
    assert load(HEAD + SPACE + "search: {start_with: []}").start_with == ()


def test_entries_become_parameters_by_their_names_in_the_space(load):
    document = load(
        with_entries(
            "{loss: {name: arcface, scale: 64, margin_rad: 0.5}, lr: 1e-5, domain: null}",
            "{backbone: {name: mobilenetv3_large_100, trainable_stages: 2}, domain: {grl_alpha: 0.3}}",
            "{backbone: resnet18.tv_in1k, descriptor_dim: 512}",
        )
    )
    assert document.start_with == (
        {
            "trial.loss": "1_arcface",
            "trial.loss.1_arcface.scale": 64.0,
            "trial.loss.1_arcface.margin_rad": 0.5,
            "trial.lr": 1e-5,
            "trial.domain": "0_null",
        },
        {
            "trial.backbone": "1_mobilenetv3_large_100",
            "trial.backbone.1_mobilenetv3_large_100.trainable_stages": 2,
            "trial.domain": "1",
            "trial.domain.1.grl_alpha": 0.3,
        },
        {"trial.backbone": "0_resnet18.tv_in1k", "trial.descriptor_dim": 512},
    )
    assert isinstance(document.start_with[0]["trial.loss.1_arcface.scale"], float)


def test_an_option_is_found_by_any_key_that_only_it_has(load):
    assert load(with_entries("{loss: {margin_rad: 0.3}}")).start_with == (
        {"trial.loss": "1_arcface", "trial.loss.1_arcface.margin_rad": 0.3},
    )


def test_an_option_is_found_by_its_ranges(load):
    space = """\
trial:
  loss: !choice
    - {name: cosface, scale: !uniform [20, 30]}
    - {name: cosface, scale: !uniform [40, 64]}
"""
    found = load(with_entries("{loss: {name: cosface, scale: 50}}", space=space)).start_with
    assert found == ({"trial.loss": "1_cosface", "trial.loss.1_cosface.scale": 50.0},)


def test_a_choice_inside_a_choice_is_followed(load):
    space = """\
trial:
  loss: !choice
    - !choice [{name: cosface, margin_cos: 0.2}, {name: cosface, margin_cos: 0.4}]
    - {name: arcface}
"""
    found = load(with_entries("{loss: {name: cosface, margin_cos: 0.4}}", space=space)).start_with
    assert found == ({"trial.loss": "0_choice", "trial.loss.0_choice": "1_cosface"},)


def test_what_is_fixed_may_be_repeated(load):
    domain = "{grl_alpha: 0.5, schedule: ramp, hidden: 128}"
    entry = f"{{epochs: 3, batch_size: 32, domain: {domain}, cells: {{cell_m: 10}}}}"
    assert load(with_entries(entry)).start_with == ({"trial.domain": "1", "trial.domain.1.grl_alpha": 0.5},)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            "{loss: {name: cosface, margin_cos: 0.6}}",
            ["loss.margin_cos: 0.6 is outside !uniform [0.2, 0.5] (line 7)"],
        ),
        ("{lr: 1e-3}", ["lr: 0.001 is outside !loguniform [1e-06, 0.0001] (line 13)"]),
        ("{lr: .nan}", ["lr: nan is outside !loguniform [1e-06, 0.0001] (line 13)"]),
        ("{lr: fast}", ["lr: must be a number of !loguniform [1e-06, 0.0001], got 'fast' (line 13)"]),
        ("{lr: true}", ["lr: must be a number of !loguniform [1e-06, 0.0001], got true (line 13)"]),
        (
            "{backbone: {name: mobilenetv3_large_100, trainable_stages: 2.0}}",
            ["backbone.trainable_stages: must be a whole number of !int [1, 3], got 2.0 (line 4)"],
        ),
        ("{descriptor_dim: 500}", ["descriptor_dim: 500 is no option of !choice [256, 512] (line 5)"]),
        (
            "{loss: {name: arcfase}}",
            ["loss: fits no option of the !choice (line 6): 0_cosface, 1_arcface, 2_sphereface"],
        ),
        (
            "{loss: {scale: 30}}",
            [
                "loss: fits more than one option of the !choice (line 6): 0_cosface, 1_arcface, "
                "2_sphereface; add a key that tells them apart"
            ],
        ),
        (
            "{loss: cosface}",
            ["loss: fits no option of the !choice (line 6): 0_cosface, 1_arcface, 2_sphereface"],
        ),
        (
            "{epochs: 4}",
            [
                "epochs: 4 differs from 3, which is not searched (line 14); remove the key, or search it "
                "in trial"
            ],
        ),
        (
            "{batch_size: 64}",
            [
                "batch_size: 64 differs from the default 32, which is not searched; remove the key, or "
                "search it in trial"
            ],
        ),
        (
            "{cells: {cell_m: 20}}",
            [
                "cells: a mapping differs from its default, which is not searched; remove the key, or search "
                "it in trial"
            ],
        ),
        ("{los: {name: cosface}}", ["los: unknown key; nearest: loss"]),
        ("{grl_alpha: 0.3}", ["grl_alpha: unknown key here; it belongs at domain.grl_alpha"]),
        ("{domain: {grl_alhpa: 0.3}}", ["domain.grl_alhpa: unknown key; nearest: grl_alpha"]),
    ],
)
def test_a_wrong_entry_is_said_with_its_line(problems, entry, expected):
    line = len((HEAD + SPACE).splitlines()) + 3
    assert problems(with_entries(entry)) == [
        f"space.yaml:{line}: search.start_with.0.{text}" for text in expected
    ]


def test_all_problems_of_all_entries_come_at_once_with_those_of_the_rest(problems):
    found = problems(
        with_entries("{lr: 1, descriptor_dim: 3}", "{epochs: 5}").replace("epochs: 3", "epochs: 0")
    )
    assert [problem.split(": ")[1] for problem in found] == [
        "trial.epochs",
        "search.start_with.0.lr",
        "search.start_with.0.descriptor_dim",
        "search.start_with.1.epochs",
    ]


def test_what_an_override_fixed_is_named_by_it(problems):
    assert problems(with_entries("{descriptor_dim: 512}"), "trial.descriptor_dim=256") == [
        "space.yaml:17: search.start_with.0.descriptor_dim: 512 differs from 256, which is not searched "
        "(--set trial.descriptor_dim); remove the key, or search it in trial"
    ]


def test_entries_can_be_replaced_by_an_override(load):
    found = load(
        with_entries("{descriptor_dim: 512}"), "search.start_with=[{descriptor_dim: 256}]"
    ).start_with
    assert found == ({"trial.descriptor_dim": 256},)


@pytest.mark.parametrize("text", ["7", "{lr: 1e-5}", "[7]", "null", "[{lr: !uniform [1e-6, 1e-5]}]"])
def test_what_is_no_list_of_plain_mappings_is_refused_once(problems, text):
    found = problems(HEAD + SPACE + f"search: {{start_with: {text}}}")
    assert len(found) == 1
    assert "search.start_with" in found[0]


def test_a_choice_with_a_problem_of_its_own_does_not_hide_it(problems):
    space = "trial:\n  loss: !choice [{name: cosface, scale: !choice [30, 30.0]}, {name: arcface}]\n"
    found = problems(with_entries("{loss: {name: cosface, scale: 30}}", space=space))
    assert len(found) == 1
    assert "must not repeat an option" in found[0]


def test_a_relative_weights_file_is_the_same_file_in_an_entry(load, tmp_path):
    (tmp_path / "places.pth").touch()
    for folder in ("train", "val", "night"):
        (tmp_path / folder).mkdir()
    space = """\
trial:
  backbone: !choice
    - {name: resnet18.tv_in1k, weights: imagenet}
    - {name: resnet18.tv_in1k, weights: places.pth}
"""
    entry = "{backbone: {name: resnet18.tv_in1k, weights: places.pth}}"
    found = load(with_entries(entry, space=space), data_root=tmp_path).start_with
    assert found == ({"trial.backbone": "1_resnet18.tv_in1k"},)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False))
def test_any_point_of_the_space_is_found_again(load, random):
    """Oracle: draw a trial by `Space.propose`, write it as an entry, and expect the very draws back."""
    drawn = {}

    def suggest(name, distribution):
        labels = getattr(distribution, "labels", None)
        if labels is None and isinstance(distribution.low, int) and "int" in str(distribution):
            drawn[name] = random.randint(distribution.low, distribution.high)
        elif labels is None:
            drawn[name] = random.uniform(distribution.low, distribution.high)
        else:
            drawn[name] = random.choice(labels)
        return drawn[name]

    decided = load(HEAD + SPACE).space.propose(suggest)
    entry = json.dumps(decided)  # JSON is YAML, and keeps every digit
    assert load(with_entries(entry)).start_with == (drawn,)
