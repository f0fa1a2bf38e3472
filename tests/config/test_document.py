from __future__ import annotations

import pickle
import random
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vgsearch.config.document import load_document
from vgsearch.config.space import Categorical, Choice, IntRange, LogUniform, Uniform
from vgsearch.config.space_json import describe
from vgsearch.config.trial import TrialConfig
from vgsearch.errors import ConfigError

GRL = """\
# margins and reversal
name: grl
data:
  train: sf_xs/train
  val: {day: sf_xs/val, night: sf_xs/val_night}
  tests: {sf_xs: sf_xs/test, tokyo_night: tokyo_night/test}
  target_domain: night_unlabelled
trial:
  backbone: !choice [mobilenetv3_large_100, resnet18.tv_in1k]
  descriptor_dim: 512
  loss: !choice
    - {name: cosface, scale: !uniform [20, 64], margin_cos: !uniform [0.2, 0.5]}
    - {name: arcface, scale: !uniform [20, 64], margin_rad: !uniform [0.2, 0.6]}
    - {name: sphereface, scale: !uniform [20, 64], margin_mul: !uniform [1.1, 2.0]}
  domain: !choice [null, {grl_alpha: !uniform [0.0, 1.0]}]
  epochs: 3
  lr: 1e-5
search:
  objective: val/night/recall_at_1
  num_trials: 32
  sampler: {name: tpe, seed: 0}
  scheduler: {name: asha, grace_epochs: 1, reduction_factor: 3}
resources: {gpus_per_trial: 0.5, cpus_per_trial: 4}
"""


def test_a_whole_file(load):
    document = load(GRL)
    assert document.name == "grl"
    assert document.text == GRL
    assert document.data.val_splits == {"day": "sf_xs/val", "night": "sf_xs/val_night"}
    assert document.search.scheduler.reduction_factor == 3
    assert document.resources.gpus_per_trial == 0.5
    assert document.eval.batch_size == 16
    assert [(p.name, p.line) for p in document.space.parameters()][:4] == [
        ("trial.backbone", 9),
        ("trial.loss", 11),
        ("trial.loss.0_cosface.scale", 12),
        ("trial.loss.0_cosface.margin_cos", 12),
    ]


def test_deciding_gives_a_trial(load):
    answers = {
        "trial.backbone": "resnet18.tv_in1k",
        "trial.loss": "1_arcface",
        "trial.loss.1_arcface.scale": 30.0,
        "trial.loss.1_arcface.margin_rad": 0.25,
        "trial.domain": "1",
        "trial.domain.1.grl_alpha": 0.5,
    }
    trial = load(GRL).decide(lambda name, _: answers[name])
    assert trial == TrialConfig.model_validate(
        {
            "backbone": "resnet18.tv_in1k",
            "loss": {"name": "arcface", "scale": 30, "margin_rad": 0.25},
            "domain": {"grl_alpha": 0.5},
            "epochs": 3,
            "lr": 1e-5,
        }
    )


def test_the_default_trial_says_what_it_decided(load):
    trial, notes = load(GRL).default_trial()
    assert trial.backbone == "mobilenetv3_large_100"
    assert trial.loss.margin_cos == pytest.approx(0.35)
    assert (
        notes[0] == "trial.backbone = mobilenetv3_large_100, "
        "the first of !choice [mobilenetv3_large_100, resnet18.tv_in1k]"
    )
    assert notes[2] == "trial.loss.0_cosface.scale = 42, the middle of !uniform [20, 64]"


def test_example_trials_hold_every_option(load):
    trials = load(GRL).example_trials()
    assert {trial.backbone for trial in trials} == {"mobilenetv3_large_100", "resnet18.tv_in1k"}
    assert {trial.loss.name for trial in trials} == {"cosface", "arcface", "sphereface"}
    assert {None, 0.0, 1.0} < {trial.domain and trial.domain.grl_alpha for trial in trials}
    fixed = load("trial: {epochs: 1}")
    assert fixed.example_trials() == [fixed.default_trial()[0]]


def test_a_document_pickles(load):
    document = load(GRL)
    assert pickle.loads(pickle.dumps(document)) == document


def test_the_smallest_file(load):
    document = load("")
    assert document.default_trial() == (TrialConfig(), [])
    assert document.search.num_trials == 32


def test_empty_sections_are_sections(load):
    assert load("trial:\nsearch:\nresources:\neval:\n").default_trial()[0] == TrialConfig()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "must be a mapping with the keys name and data, got an empty file"),
        ("# nothing\n", "must be a mapping with the keys name and data, got an empty file"),
        ("- a\n", "must be a mapping with the keys name and data, got a list"),
        ("hello\n", "must be a mapping with the keys name and data, got 'hello'"),
        ("!choice [a]\n", "must be a mapping with the keys name and data, got a tag"),
        ("!foo [a]\n", "1: unknown tag !foo; the tags are !uniform, !loguniform, !int, !choice"),
    ],
)
def test_a_file_that_is_no_mapping(tmp_path, text, problem):
    file = tmp_path / "f.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_document(file)
    assert [text.removeprefix(f"{file}:").strip() for text in caught.value.problems] == [problem]


def test_a_file_that_is_not_there_is_a_folder_or_is_not_yaml(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        load_document(tmp_path / "f.yaml")
    with pytest.raises(ConfigError, match="is a folder"):
        load_document(tmp_path)
    (tmp_path / "f.yaml").write_text("name: [a\n")
    with pytest.raises(ConfigError, match=r"f.yaml:2: not valid YAML"):
        load_document(tmp_path / "f.yaml")


def test_missing_name_and_data(tmp_path):
    file = tmp_path / "f.yaml"
    file.write_text("\n# first\ntrial: {epochs: 1}\n")
    with pytest.raises(ConfigError) as caught:
        load_document(file)
    assert caught.value.problems == [
        f"{file}:3: name: required key is missing; add it",
        f"{file}:3: data: required key is missing; add it",
    ]


def test_searched_values_outside_trial(problems):
    text = (
        "name: !choice [a, b]\ndata:\n  train: t\n  val: !choice [v, w]\ntrial: !choice [{epochs: 1}]\n"
        "search: {num_trials: !int [1, 9]}\nresources:\n  gpus_per_trial: !uniform [0, 1]\n"
    )
    rule = "only values inside trial can be searched"
    assert problems(text) == [
        f"space.yaml:1: name: {rule}; write one value",
        f"space.yaml:4: data.val: {rule}; write one value",
        f"space.yaml:5: trial: {rule}; the section itself must be a mapping",
        f"space.yaml:6: search.num_trials: {rule}; write one value",
        f"space.yaml:8: resources.gpus_per_trial: {rule}; write one value",
    ]


def test_every_branch_and_both_ends_are_checked(problems):
    text = """\
trial:
  loss: !choice
    - {name: cosface, margin_cos: !uniform [0, 2.5]}
    - {name: arcface, scael: 3}
    - {name: sphereface, margin_mul: !uniform [0.5, 2]}
    - {name: combined, scale: !choice [3, 0]}
    - arcface
  lr: !uniform [-1, 2]
  batch_size: !int [0, 4]
  domain: !choice [null, {grl_alpha: !loguniform [1e-3, 1], schedule: rampp, placement: inline}]
  backbone: !uniform [0, 1]
"""
    assert problems(text) == [
        "space.yaml:5: trial.loss.margin_cos: must be less than 2, got 2.5 (upper end of !uniform [0, 2.5])",
        "space.yaml:6: trial.loss.scael: unknown key; nearest: scale",
        "space.yaml:7: trial.loss.margin_mul: must be at least 1, got 0.5 (lower end of !uniform [0.5, 2])",
        "space.yaml:8: trial.loss.scale: must be greater than 0, got 0",
        "space.yaml:9: trial.loss: must be a mapping, got 'arcface'; write {name: arcface}",
        "space.yaml:10: trial.lr: must be greater than 0, got -1 (lower end of !uniform [-1, 2])",
        "space.yaml:11: trial.batch_size: must be at least 1, got 0 (lower end of !int [0, 4])",
        "space.yaml:12: trial.domain.schedule: must be one of constant, ramp, got 'rampp'; nearest: ramp",
        "space.yaml:13: trial.backbone: must be text or a mapping, got 0 (lower end of !uniform [0, 1])",
    ]


def test_a_real_range_on_a_key_that_counts(problems):
    inside = "must be a whole number, got 1.381966 (inside !uniform [1, 2]); use !int"
    assert problems("trial: {epochs: !uniform [1, 2]}") == [f"space.yaml:3: trial.epochs: {inside}"]


def test_flow_style_problems_come_in_reading_order(problems):
    assert problems(
        "trial: {zz: 1, epochs: 0, loss: !choice [{name: cosface, scale: 0}, {name: arcface, scale: -1}]}"
    ) == [
        problem
        for problem in problems("trial: {zz: 1}")
        + [
            "space.yaml:3: trial.epochs: must be at least 1, got 0",
            "space.yaml:3: trial.loss.scale: must be greater than 0, got 0",
            "space.yaml:3: trial.loss.scale: must be greater than 0, got -1",
        ]
    ]


def test_numbers_that_other_readers_get_wrong(load):
    trial, _ = load(
        "trial: {lr: 1e-5, iterations_per_epoch: 010, classifier_lr: 1E-2, seed: '7'}"
    ).default_trial()
    assert (trial.lr, trial.iterations_per_epoch, trial.classifier_lr, trial.seed) == (1e-5, 10, 1e-2, 7)


def _bounded(low, high):
    """A fixed number, a range or a choice inside [low, high]."""
    number = st.floats(low, high).map(lambda x: round(x, 3)).filter(lambda x: low <= x <= high)
    pair = st.tuples(number, number).map(sorted).filter(lambda p: p[0] < p[1])
    options = [
        number,
        pair.map(lambda p: Uniform(*p)),
        st.lists(number, min_size=1, max_size=3, unique=True).map(lambda o: Choice(tuple(o))),
    ]
    if low > 0:
        options.append(pair.map(lambda p: LogUniform(*p)))
    return st.one_of(options)


_whole = st.one_of(
    st.integers(1, 64),
    st.tuples(st.integers(1, 8), st.integers(1, 9)).map(lambda t: IntRange(t[0], t[0] + t[1])),
)
_loss = st.one_of(
    st.fixed_dictionaries(
        {"name": st.just("cosface")}, optional={"scale": _bounded(1, 64), "margin_cos": _bounded(0, 1)}
    ),
    st.fixed_dictionaries(
        {"name": st.just("arcface")}, optional={"scale": _bounded(1, 64), "margin_rad": _bounded(0, 3)}
    ),
    st.fixed_dictionaries({"name": st.just("sphereface")}, optional={"margin_mul": _bounded(1, 8)}),
)
_domain = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {},
        optional={
            "grl_alpha": _bounded(0, 2),
            "hidden": _whole,
            "where": st.sampled_from(["features", Choice(("descriptor", "features"))]),
        },
    ),
)
_backbone = st.one_of(
    st.sampled_from(["resnet18.tv_in1k", "vgg16"]),
    st.fixed_dictionaries({"name": st.sampled_from(["a", "b"])}, optional={"trainable_stages": _whole}),
)


def _or_choice(inner):
    many = st.lists(inner, min_size=1, max_size=3, unique_by=repr).map(lambda options: Choice(tuple(options)))
    return st.one_of(inner, many)


_trials = st.fixed_dictionaries(
    {},
    optional={
        "backbone": _or_choice(_backbone),
        "loss": _or_choice(_loss),
        "domain": _or_choice(_domain),
        "epochs": _whole,
        "lr": _bounded(0.001, 1),
        "augment": st.fixed_dictionaries(
            {}, optional={"hue": _bounded(0, 0.5), "crop_scale_min": _bounded(0.1, 1)}
        ),
        "precision": _or_choice(st.sampled_from(["auto", "fp32"])),
    },
)


@given(_trials, st.integers(0, 999))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_decision_in_a_valid_space_is_a_valid_trial(load, tree, seed):
    text = f"name: a\ndata: {{train: t, val: v, target_domain: n}}\ntrial: {describe(tree)}\n"
    document = load(text)
    assert document.space.tree == tree
    generator = random.Random(seed)

    def suggest(_, distribution):
        match distribution:
            case Categorical():
                return generator.choice(distribution.labels)
            case IntRange():
                return generator.randint(distribution.low, distribution.high)
            case _:
                return generator.uniform(distribution.low, distribution.high)

    for _ in range(3):
        assert isinstance(document.decide(suggest), TrialConfig)
    assert isinstance(document.default_trial()[0], TrialConfig)
    assert document.example_trials()


@given(st.text(alphabet="ab: \n-[]{}!,'\"&*#|>%@`\t?~0.e", max_size=60))
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_at_all_is_a_document_or_a_config_error(load, text):
    for whole in (f"name: x\n{text}", f"name: x\ndata: {{train: t, val: v}}\ntrial: {text}"):
        problems = ["one line"]
        try:
            load(whole)
        except ConfigError as error:
            problems = error.problems
        assert problems
        assert all(problem and "\n" not in problem for problem in problems)


def test_loading_needs_no_heavy_library():
    code = (
        "import sys, vgsearch.config.document\n"
        "print([m for m in ('torch', 'ray', 'mlflow', 'optuna', 'timm', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


SPACES = Path(__file__).parents[2] / "search_spaces"
SHIPPED = sorted(SPACES.glob("*.yaml"))
OF_THE_PAPER = ["backbones.yaml", "full.yaml", "grl.yaml", "losses.yaml"]


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_every_shipped_search_space_loads(file):
    document = load_document(file)
    assert document.name == file.stem
    assert document.example_trials()
    assert document.space.parameters(), "a shipped space searches something"


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_every_entry_of_a_shipped_start_with_is_a_trial_of_its_space(file):
    document = load_document(file)
    for entry, params in zip(document.search.start_with, document.start_with, strict=True):
        met = {}

        def suggest(name, distribution, params=params, met=met):
            met[name] = params.get(name, distribution.centre)
            return met[name]

        trial = document.decide(suggest)
        assert params.items() <= met.items(), "every parameter lies on the way that the entry takes"
        assert is_part_of(entry, trial.model_dump())


def is_part_of(part, whole):
    if isinstance(part, dict):
        return all(is_part_of(value, whole[key]) for key, value in part.items())
    return part == whole


@pytest.mark.parametrize("name", OF_THE_PAPER)
def test_a_space_of_the_paper_starts_with_all_of_a_trial(name):
    """The paper's settings say everything that is searched on their way; nothing is left to chance."""
    document = load_document(SPACES / name)
    assert len(document.start_with) >= 4
    for params in document.start_with:
        document.decide(lambda name, _, params=params: params[name])


@pytest.mark.parametrize("name", OF_THE_PAPER)
def test_the_demo_line_of_a_space_of_the_paper_loads(name, tmp_path):
    lines = [line for line in (SPACES / name).read_text().splitlines() if line.startswith("#   vgsearch")]
    assert len(lines) == 1
    words = shlex.split(lines[0].removeprefix("#"))
    assert words[:3] == ["vgsearch", "tune", f"search_spaces/{name}"]
    assert set(words[3::2]) == {"--set"}
    document = load_document(SPACES / name, words[4::2], data_root=tmp_path)
    assert document.name == f"{(SPACES / name).stem}_demo"
    assert document.data.demo_city is not None
    assert document.space.parameters()
    assert document.search.num_trials <= 16
    for trial in document.examples:
        assert trial.resolved_backbone.name == "tf_efficientnet_lite0", "its weights need no download"
        assert trial.resolved_backbone.weights == "bundled"


def test_there_are_shipped_search_spaces():
    assert [file.name for file in SHIPPED] == sorted(
        ["demo.yaml", "demo_branch.yaml", "demo_grl.yaml", *OF_THE_PAPER]
    )
