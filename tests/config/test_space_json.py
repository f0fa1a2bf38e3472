from __future__ import annotations

import json

import pytest

from vgsearch.config.space import Choice, IntRange, LogUniform, Space, Uniform
from vgsearch.config.space_json import describe, space_from_json
from vgsearch.errors import ConfigError

SPACE = Space(
    {
        "lr": LogUniform(1e-5, 1e-3),
        "epochs": 3,
        "loss": Choice(({"name": "cosface", "scale": Uniform(20, 64)}, {"name": "arcface", "scale": 30.0})),
        "seed": IntRange(0, 9),
        "domain": None,
    }
)


def changed(**keys):
    return Space({**SPACE.tree, **keys})


def test_json_is_canonical_and_reads_back():
    text = SPACE.to_json()
    assert text == (
        '{"domain":null,"epochs":3,"loss":{"!choice":[{"name":"cosface","scale":{"!uniform":[20,64]}},'
        '{"name":"arcface","scale":30}]},"lr":{"!loguniform":[1e-05,0.001]},"seed":{"!int":[0,9]}}'
    )
    assert Space(space_from_json(text)) == SPACE
    assert json.loads(text)["epochs"] == 3


def test_order_line_and_spelling_of_numbers_make_no_difference():
    other = Space(dict(reversed(list(changed(epochs=3.0, seed=IntRange(0, 9, line=8)).tree.items()))))
    assert other.to_json() == SPACE.to_json()
    assert other.differences(SPACE.to_json()) == []


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (changed(epochs=5), ["trial.epochs: was 3, is 5"]),
        (
            changed(lr=LogUniform(1e-6, 1e-3)),
            ["trial.lr: was !loguniform [1e-05, 0.001], is !loguniform [1e-06, 0.001]"],
        ),
        (changed(domain={"grl_alpha": 0.3}), ["trial.domain: was null, is {grl_alpha: 0.3}"]),
        (changed(batch_size=8), ["trial.batch_size: was not set, is 8"]),
        (
            changed(
                loss=Choice(
                    ({"name": "cosface", "scale": Uniform(20, 60)}, {"name": "arcface", "scale": True})
                )
            ),
            [
                "trial.loss.0_cosface.scale: was !uniform [20, 64], is !uniform [20, 60]",
                "trial.loss.1_arcface.scale: was 30, is true",
            ],
        ),
        (
            changed(loss=Choice(({"name": "arcface"}, "x"))),
            [
                "trial.loss: was !choice [{name: cosface, scale: !uniform [20, 64]}, "
                "{name: arcface, scale: 30}], is !choice [{name: arcface}, x]"
            ],
        ),
    ],
)
def test_differences_in_words(new, words):
    assert new.differences(SPACE.to_json()) == words


def test_a_key_that_went():
    tree = dict(SPACE.tree)
    del tree["seed"]
    assert Space(tree).differences(SPACE.to_json()) == ["trial.seed: was !int [0, 9], is no longer set"]


def test_one_and_true_are_not_the_same():
    assert Space({"a": True}).differences(Space({"a": 1}).to_json()) == ["trial.a: was 1, is true"]


@pytest.mark.parametrize(
    "text", ["{", '{"a": {"!uniform": [1]}}', '{"a": {"!int": [2, 1]}}', '{"a": {"!choice": 3}}']
)
def test_a_stored_space_that_cannot_be_read(text):
    with pytest.raises(ConfigError, match="the stored search space cannot be read"):
        SPACE.differences(text)


def test_describe_spells_yaml():
    assert describe({"a": [1, None], "b": Choice((True, "x"))}) == "{a: [1, null], b: !choice [true, x]}"
