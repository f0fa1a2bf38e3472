from __future__ import annotations

import pytest

from vgsearch.config.checks import is_safe_name


def test_safe_names():
    assert all(map(is_safe_name, ["grl", "a.b-c_D9", "x" * 100, "-", "..a"]))
    assert not any(map(is_safe_name, ["", "a b", "a/b", "ä", "x" * 101, ".", "..", "a\n"]))


@pytest.mark.parametrize("name", ["a b", "a/b", "..", "'" + "x" * 101 + "'", "''"])
def test_search_name(problems, name):
    (problem,) = problems(f"name: {name}\ndata: {{train: t, val: v}}\n")
    assert problem.startswith("space.yaml:1: name: must be 1 to 100 letters, digits, '.', '_' or '-', got '")


def test_split_names(problems):
    text = (
        "name: a\ndata:\n  train: t\n  val:\n    a/b: v\n    mean: w\n  tests:\n    x y: u\n"
        "search: {objective: val/mean/recall_at_1}\n"
    )
    rule = "a name must be 1 to 100 letters, digits, '.', '_' or '-'"
    assert problems(text) == [
        f"space.yaml:5: data.val: {rule}, got 'a/b'",
        "space.yaml:6: data.val.mean: 'mean' is kept for the mean over all splits; choose another name",
        f"space.yaml:8: data.tests: {rule}, got 'x y'",
    ]


def test_no_split_at_all(problems):
    assert problems("name: a\ndata: {train: t, val: {}}\n") == [
        "space.yaml:2: data.val: needs at least one split"
    ]


@pytest.mark.parametrize("n", [1, 5, 10, 20])
def test_objectives_of_one_folder_and_of_several(load, n):
    assert load(f"search: {{objective: val/recall_at_{n}}}").search.objective == f"val/recall_at_{n}"
    for split in ("day", "night", "mean"):
        objective = f"val/{split}/recall_at_{n}"
        text = f"name: a\ndata: {{train: t, val: {{day: d, night: n}}}}\nsearch: {{objective: {objective}}}"
        assert load(text).search.objective == objective


@pytest.mark.parametrize(
    ("objective", "hint"),
    [
        ("val/recall_at_2", "; nearest: val/recall_at_20"),
        ("val/R@1", ""),
        ("test/recall_at_1", "; nearest: val/recall_at_1"),
        ("val/mean/recall_at_1", "; nearest: val/recall_at_1"),
        ("train/loss", ""),
    ],
)
def test_wrong_objective_for_one_folder(problems, objective, hint):
    (problem,) = problems(f"search:\n  objective: {objective}\n")
    assert problem == (
        "space.yaml:4: search.objective: must be val/recall_at_N with N one of 1, 5, 10, 20, "
        f"got '{objective}'{hint}"
    )


def test_wrong_and_missing_objective_for_several_splits(problems):
    head = "name: a\ndata:\n  train: t\n  val: {day: d, night: n}\n"
    ways = "val/day/recall_at_N or val/night/recall_at_N or val/mean/recall_at_N"
    rule = f"must be {ways} with N one of 1, 5, 10, 20"
    assert problems(head) == [
        f"space.yaml:4: search.objective: must be set when data.val names its splits; it {rule}"
    ]
    assert problems(head + "search: {objective: val/dusk/recall_at_1}\n") == [
        f"space.yaml:5: search.objective: {rule}, got 'val/dusk/recall_at_1'; nearest: val/day/recall_at_1"
    ]


def test_a_domain_classifier_needs_target_photos(problems, load):
    assert problems("trial:\n  domain: !choice\n    - null\n    - {grl_alpha: 0.3}\n") == [
        "space.yaml:6: trial.domain: needs a folder of photos of the target domain; "
        "set data.target_domain, or domain: null"
    ]
    load("trial: {domain: {placement: inline}}")
    load("name: a\ndata: {train: t, val: v, target_domain: n}\ntrial: {domain: {grl_alpha: 0.3}}")


DISCRIMINATOR_ALONE = (
    "is about the domain classifier, which placement: inline does not have; leave it out, or give each "
    "placement an option of its own in a !choice"
)


@pytest.mark.parametrize(
    "key", ["where: features", "where: descriptor", "hidden: 8", "lr: 1e-3", "weight: 1", "batch_fraction: 1"]
)
def test_keys_of_the_classifier_mean_nothing_inline(problems, key):
    assert problems(f"trial:\n  domain:\n    placement: inline\n    {key}\n") == [
        f"space.yaml:6: trial.domain.{key.partition(':')[0]}: {DISCRIMINATOR_ALONE}"
    ]


def test_an_option_for_each_placement(problems, load):
    head = "name: a\ndata: {train: t, val: v, target_domain: n}\ntrial:\n  domain: "
    assert problems(head + "{placement: !choice [discriminator, inline], where: features}\n") == [
        f"space.yaml:4: trial.domain.where: {DISCRIMINATOR_ALONE}"
    ]
    load(
        head + "!choice [null, {placement: inline, grl_alpha: !uniform [0.1, 1]}, "
        "{grl_alpha: !uniform [0, 1], where: !choice [descriptor, features]}]\n"
    )


def test_names_of_target_domains(problems, load):
    head = "name: a\ndata:\n  train: t\n  val: v\n  target_domain:"
    rule = "a name must be 1 to 100 letters, digits, '.', '_' or '-'"
    assert problems(f"{head}\n    n/t: a\n    rainy night: b\n    source: c\n") == [
        f"space.yaml:6: data.target_domain: {rule}, got 'n/t'",
        f"space.yaml:7: data.target_domain: {rule}, got 'rainy night'",
        "space.yaml:8: data.target_domain.source: 'source' is kept for the training photos; "
        "choose another name",
    ]
    assert problems(f"{head} {{}}\n") == [
        "space.yaml:5: data.target_domain: needs at least one domain; name a folder, or write null"
    ]
    data = load(f"{head} {{night: a, rain: b}}\ntrial: {{domain: {{}}}}\n").data
    assert list(data.target_domains.items()) == [("night", "a"), ("rain", "b")]
    swapped = load(f"{head} {{rain: b, night: a}}\ntrial: {{domain: {{}}}}\n").data
    assert list(swapped.target_domains) == ["night", "rain"]
    assert load(f"{head} night\n").data.target_domains == {"": "night"}
    assert load(f"{head} null\n").data.target_domains == {}


def test_styles_need_target_photos(problems, load):
    ending = "needs a folder of photos whose style to take; set data.target_domain, or 0"
    assert problems("trial:\n  augment:\n    fda_beta: 0.01\n") == [
        f"space.yaml:5: trial.augment.fda_beta: 0.01 {ending}"
    ]
    assert problems("trial:\n  augment: {fda_beta: !choice [0, '1e-2']}\n") == [
        f"space.yaml:4: trial.augment.fda_beta: '1e-2' {ending}"
    ]
    assert problems("trial: {augment: {fda_beta: !uniform [0.0, 0.1]}}\n") == [
        f"space.yaml:3: trial.augment.fda_beta: 0.1 {ending}"
    ]
    load("trial: {augment: {fda_beta: 0}}")
    load("trial: {augment: {fda_beta: 0.1, fda_probability: 0}}")
    load("name: a\ndata: {train: t, val: v, target_domain: n}\ntrial: {augment: {fda_beta: 0.1}}")


def test_backbones_are_asked_about_once_each_in_every_branch(problems):
    asked = []

    def check(name):
        asked.append(name)
        return (
            None
            if name == "resnet18"
            else f"trial.backbone: {name!r} is not a timm backbone; nearest: resnet18"
        )

    text = (
        "trial:\n  backbone: !choice\n    - resnet18\n    - resnet81\n    - {name: resnet18, weights: none}\n"
        "    - {name: !choice [vgg61, resnet18], weights: none}\n  lr: !uniform [0.1, 0.2]\n"
    )
    assert problems(text, check_backbone=check) == [
        "space.yaml:6: trial.backbone: 'resnet81' is not a timm backbone; nearest: resnet18",
        "space.yaml:8: trial.backbone.name: 'vgg61' is not a timm backbone; nearest: resnet18",
    ]
    assert sorted(asked) == ["resnet18", "resnet81", "vgg61"]
