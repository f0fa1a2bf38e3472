from __future__ import annotations

import pickle
import random
from collections.abc import Mapping
from copy import deepcopy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vgsearch.config.space import Categorical, Choice, IntRange, LogUniform, Parameter, Space, Uniform

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-99, 99),
    st.floats(-9, 9),
    st.sampled_from(["cosface", "a b", "x.y"]),
)
ranges = st.one_of(
    st.tuples(st.floats(-9, 9), st.floats(0.1, 9)).map(lambda t: Uniform(t[0], t[0] + t[1])),
    st.tuples(st.floats(1e-6, 9), st.floats(0.1, 9)).map(lambda t: LogUniform(t[0], t[0] + t[1])),
    st.tuples(st.integers(-9, 9), st.integers(1, 9)).map(lambda t: IntRange(t[0], t[0] + t[1])),
)
keys = st.sampled_from(["name", "scale", "margin", "0", "0_cosface", "1"])


def choices(children):
    def build(options):
        unique = [o for i, o in enumerate(options) if isinstance(o, (dict, list)) or o not in options[:i]]
        return Choice(tuple(unique))

    return st.lists(children, min_size=1, max_size=4).map(build)


trees = st.recursive(
    st.one_of(scalars, ranges),
    lambda children: st.one_of(
        st.dictionaries(keys, children, max_size=3), st.lists(children, max_size=2), choices(children)
    ),
    max_leaves=12,
)
spaces = st.dictionaries(keys, trees, max_size=4).map(Space)


class Drawer:
    """Answers by a seeded draw and remembers what it was asked."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.asked = {}

    def __call__(self, name, distribution):
        assert name not in self.asked
        self.asked[name] = distribution
        match distribution:
            case Categorical():
                return self.random.choice(distribution.labels)
            case IntRange():
                return self.random.randint(distribution.low, distribution.high)
            case _:
                drawn = self.random.uniform(distribution.low, distribution.high)
                return min(max(drawn, distribution.low), distribution.high)


def fits(tree, value) -> bool:
    """Oracle: whether `value` is something that `tree` can become."""
    if isinstance(tree, Choice):
        return any(fits(option, value) for option in tree.options)
    if isinstance(tree, IntRange):
        return isinstance(value, int) and tree.low <= value <= tree.high
    if isinstance(tree, (Uniform, LogUniform)):
        return isinstance(value, float) and tree.low <= value <= tree.high
    if isinstance(tree, Mapping):
        return (
            isinstance(value, dict)
            and list(tree) == list(value)
            and all(fits(tree[k], value[k]) for k in tree)
        )
    if isinstance(tree, list):
        return isinstance(value, list) and len(tree) == len(value) and all(map(fits, tree, value))
    return type(tree) is type(value) and tree == value


@given(spaces, st.integers(0, 99))
@settings(deadline=None)
def test_proposals_fit_are_pure_and_ask_only_for_known_names(space, seed):
    before = pickle.dumps(space)
    drawer = Drawer(seed)
    decided = space.propose(drawer)
    assert fits(space.tree, decided)
    known = {parameter.name: parameter.distribution for parameter in space.parameters()}
    assert drawer.asked.items() <= known.items()
    assert space.propose(Drawer(seed)) == decided
    assert pickle.dumps(space) == before


@given(spaces)
@settings(deadline=None)
def test_parameter_names_are_unique(space):
    names = [parameter.name for parameter in space.parameters()]
    assert len(set(names)) == len(names)
    assert all(name.startswith("trial.") for name in names)


@given(spaces, st.integers(0, 99))
@settings(deadline=None)
def test_plain_pickle_gives_an_equal_space_with_equal_proposals(space, seed):
    copy = pickle.loads(pickle.dumps(space))
    assert copy == space
    assert copy.propose(Drawer(seed)) == space.propose(Drawer(seed))


@given(spaces)
@settings(deadline=None)
def test_centre_fits(space):
    assert fits(space.tree, space.centre())


LOSS = Space(
    {
        "backbone": Choice(("resnet18", "vgg16")),
        "loss": Choice(
            (
                {"name": "cosface", "scale": Uniform(20, 64)},
                {"name": "arcface", "scale": Uniform(10, 30, line=7)},
            ),
            line=5,
        ),
        "domain": Choice((None, {"grl_alpha": LogUniform(0.01, 1)})),
        "epochs": 3,
    }
)


def test_names_are_the_key_path_with_the_branch():
    assert [p.name for p in LOSS.parameters()] == [
        "trial.backbone",
        "trial.loss",
        "trial.loss.0_cosface.scale",
        "trial.loss.1_arcface.scale",
        "trial.domain",
        "trial.domain.1.grl_alpha",
    ]
    assert LOSS.parameters()[3] == Parameter(
        "trial.loss.1_arcface.scale", Uniform(10, 30), "trial.loss.scale", 7
    )
    assert LOSS.parameters()[1].line == 5


def test_only_the_branch_that_was_taken_is_asked_for():
    answers = {
        "trial.backbone": "vgg16",
        "trial.loss": "1_arcface",
        "trial.loss.1_arcface.scale": 12.5,
        "trial.domain": "0_null",
    }
    decided = LOSS.propose(lambda name, _: answers[name])
    assert decided == {
        "backbone": "vgg16",
        "loss": {"name": "arcface", "scale": 12.5},
        "domain": None,
        "epochs": 3,
    }


def test_centre_and_its_notes():
    assert LOSS.centre() == {
        "backbone": "resnet18",
        "loss": {"name": "cosface", "scale": 42.0},
        "domain": None,
        "epochs": 3,
    }
    assert LOSS.centre_notes() == [
        "trial.backbone = resnet18, the first of !choice [resnet18, vgg16]",
        "trial.loss = 0_cosface, the first of !choice [0_cosface, 1_arcface]",
        "trial.loss.0_cosface.scale = 42, the middle of !uniform [20, 64]",
        "trial.domain = 0_null, the first of !choice [0_null, 1]",
    ]


def test_a_value_outside_its_distribution_is_refused():
    with pytest.raises(
        ValueError, match=r"trial.backbone must come from !choice \[resnet18, vgg16\], got 'x'"
    ):
        LOSS.propose(lambda *_: "x")
    with pytest.raises(ValueError, match=r"trial.lr must come from !uniform \[0, 1\], got 2"):
        Space({"lr": Uniform(0, 1)}).propose(lambda *_: 2)


def test_nobody_can_change_a_space_through_what_it_took_or_gave():
    tree = {"a": {"b": [1, 2]}, "c": Choice(({"d": [3]},))}
    space = Space(tree)
    kept = deepcopy(space)
    tree["a"]["b"].append(9)
    decided = space.propose(lambda _, dist: dist.centre)
    decided["a"]["b"].append(9)
    decided["c"]["d"].append(9)
    assert space == kept
