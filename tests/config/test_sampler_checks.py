from __future__ import annotations

import pytest

from vgsearch.config.sampler_checks import sampler_remarks

FLAT = """trial:
  lr: !loguniform [1.0e-6, 1.0e-3]
  descriptor_dim: !int [64, 512]
"""
CHOICE = """trial:
  lr: !loguniform [1.0e-6, 1.0e-3]
  batch_size: !choice [16, 32]
"""
CONDITIONAL = """trial:
  lr: !loguniform [1.0e-6, 1.0e-3]
  loss: !choice
    - {name: cosface, scale: !uniform [20, 64]}
    - name: arcface
      margin_rad: !uniform [0.1, 0.5]
"""
FIXED = "trial:\n  lr: 0.1\n"


def search(name, more=""):
    return f"search: {{sampler: {{name: {name}{more}}}}}\n"


@pytest.mark.parametrize("name", ["tpe", "random", "qmc", "grid"])
@pytest.mark.parametrize("space", [FLAT, CHOICE, CONDITIONAL, FIXED])
def test_samplers_that_take_any_space(load, name, space):
    assert load(space + search(name)).search.sampler.name == name


@pytest.mark.parametrize(("name", "space"), [("gp", FLAT), ("gp", CHOICE), ("cmaes", FLAT)])
def test_spaces_that_gp_and_cmaes_take(load, name, space):
    assert load(space + search(name)).search.sampler.name == name


def test_cmaes_takes_no_choice(problems):
    assert problems(CHOICE + search("cmaes")) == [
        "space.yaml:5: trial.batch_size: sampler cmaes takes no !choice; write one value, or use sampler gp, "
        "tpe, random, grid or qmc"
    ]


def test_cmaes_does_not_send_a_conditional_space_to_gp(problems):
    assert problems(CONDITIONAL + search("cmaes")) == [
        "space.yaml:5: trial.loss: sampler cmaes takes no !choice; write one value, or use sampler tpe, "
        "random, grid or qmc"
    ]


def test_gp_takes_no_conditional_value(problems):
    rule = (
        "sampler gp takes no value that is searched inside an option of a !choice (that of line 5); write "
        "one value, or use sampler tpe, random, grid or qmc"
    )
    assert problems(CONDITIONAL + search("gp")) == [
        f"space.yaml:6: trial.loss.scale: {rule}",
        f"space.yaml:8: trial.loss.margin_rad: {rule}",
    ]


@pytest.mark.parametrize("name", ["gp", "cmaes"])
def test_a_model_needs_something_to_search(problems, name):
    assert problems(FIXED + search(name)) == [
        f"space.yaml:5: search.sampler.name: {name} has nothing to search; give a value of trial a range, or "
        f"use sampler random"
    ]


@pytest.mark.parametrize("name", ["gp", "cmaes"])
def test_a_model_needs_something_to_search_without_a_trial_section(problems, name):
    (problem,) = problems(search(name))
    assert "nothing to search" in problem


def test_a_sampler_set_on_the_command_line_is_named_there(problems):
    (problem,) = problems(FIXED, "search.sampler.name=gp")
    assert problem.startswith("--set search.sampler.name: gp has nothing to search")


def test_an_absurd_grid_says_its_size(problems):
    assert problems(FLAT + search("grid", ", grid_points: 101")) == [
        "space.yaml:6: search.sampler.name: a grid over this space has 10,201 combinations, and at most "
        "10,000 are walked through; lower search.sampler.grid_points, fix some values, or use sampler qmc"
    ]


def test_a_grid_of_ten_thousand_is_walked(load):
    load(FLAT + search("grid", ", grid_points: 100"))


def test_a_broken_search_section_is_left_to_its_own_problem(problems):
    (problem,) = problems(CHOICE + search("cmaes", ", seed: -1"))
    assert "search.sampler.seed" in problem


def remarks(load, text):
    document = load(text)
    return sampler_remarks(document.space, document.search)


@pytest.mark.parametrize(
    ("name", "scheduler", "rules"),
    [
        ("gp", "{name: asha}", "name asha"),
        ("cmaes", "{name: median, patience_epochs: 2}", "name median, patience_epochs 2"),
        ("gp", "{name: none, patience_epochs: 3}", "patience_epochs 3"),
    ],
)
def test_models_of_complete_trials_beside_a_stopping_rule(load, name, scheduler, rules):
    text = f"{FLAT}search: {{sampler: {{name: {name}}}, scheduler: {scheduler}}}\n"
    (remark,) = remarks(load, text)
    assert remark == (
        f"sampler {name} learns from complete trials only, and search.scheduler ({rules}) stops trials "
        f"early: it sees few of them; sampler tpe learns from stopped ones too"
    )


@pytest.mark.parametrize("num_trials", [8, 9, 10])
def test_a_grid_beside_the_number_of_trials(load, num_trials):
    found = remarks(load, f"{FLAT}search: {{sampler: {{name: grid}}, num_trials: {num_trials}}}\n")
    ends = {
        8: ["the first 8 are tried, the last searched value of the file varying fastest"],
        9: [],
        10: ["the search ends when all are tried"],
    }[num_trials]
    begin = f"the grid has 9 combinations and search.num_trials is {num_trials}: "
    assert found == [begin + end for end in ends]


@pytest.mark.parametrize("name", ["tpe", "random", "qmc"])
def test_nothing_is_remarked_of_the_others(load, name):
    assert remarks(load, CONDITIONAL + search(name)) == []


@pytest.mark.parametrize("name", ["gp", "cmaes"])
def test_nothing_is_remarked_of_a_model_that_sees_every_trial(load, name):
    assert remarks(load, f"{FLAT}search: {{sampler: {{name: {name}}}, scheduler: {{name: none}}}}\n") == []
