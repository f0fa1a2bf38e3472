from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgsearch.config.grid import grid_combinations, grid_size, grid_values
from vgsearch.config.search import SamplerConfig
from vgsearch.config.space import Categorical, Choice, IntRange, LogUniform, Space, Uniform

CONFIG = SamplerConfig(name="grid", grid_points=3)


def combinations(space, points=3):
    return list(grid_combinations(space, SamplerConfig(name="grid", grid_points=points)))


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(2, 9))
def test_values_of_a_real_range_are_numpys(low, width, points):
    values = grid_values(Uniform(low, low + width), points)
    np.testing.assert_allclose(values, np.linspace(low, low + width, points), rtol=1e-9, atol=1e-9)
    assert values[0] == low
    assert values[-1] == low + width


@given(st.floats(1e-8, 1e3), st.floats(1.01, 1e6), st.integers(2, 9))
def test_values_of_a_range_in_the_logarithm_are_numpys(low, ratio, points):
    values = grid_values(LogUniform(low, low * ratio), points)
    np.testing.assert_allclose(values, np.geomspace(low, low * ratio, points))
    assert values[0] == low
    assert values[-1] == low * ratio


@given(st.integers(-50, 50), st.integers(1, 50), st.integers(2, 12))
def test_whole_numbers_are_distinct_spread_and_hold_both_ends(low, width, points):
    values = grid_values(IntRange(low, low + width), points)
    assert values == sorted(set(values))
    assert (values[0], values[-1]) == (low, low + width)
    assert len(values) == min(points, width + 1)
    gaps = np.diff(values)
    assert gaps.max() - gaps.min() <= 1


def test_the_widest_range_does_not_overflow():
    assert grid_values(Uniform(-1.7e308, 1.7e308), 3)[1] == 0


def test_every_option_of_a_choice_is_taken():
    assert grid_values(Categorical(("a", None, 3, True)), 2) == ["a", None, 3, True]


def test_a_flat_space_is_a_product_in_file_order():
    space = Space({"b": IntRange(1, 3), "a": Choice(("x", "y")), "c": Uniform(0, 1)})
    expected = list(product([1, 2, 3], ["x", "y"], [0.0, 0.5, 1.0]))
    assert [tuple(values.values()) for values, _ in combinations(space)] == expected
    assert [tuple(decided.values()) for _, decided in combinations(space)] == expected


def test_a_branch_has_its_own_values_alone():
    space = Space(
        {
            "loss": Choice(
                (
                    {"name": "cosface", "scale": IntRange(1, 2)},
                    {"name": "arcface", "scale": IntRange(8, 9), "margin_rad": Uniform(0, 1)},
                    None,
                )
            ),
            "k": Choice((5, 6)),
        }
    )
    decided = [each for _, each in combinations(space)]
    cosface = [{"name": "cosface", "scale": s} for s in (1, 2)]
    arcface = [{"name": "arcface", "scale": s, "margin_rad": m} for s in (8, 9) for m in (0.0, 0.5, 1.0)]
    assert decided == [{"loss": loss, "k": k} for loss in [*cosface, *arcface, None] for k in (5, 6)]


def test_nothing_searched_is_one_combination():
    assert combinations(Space({"lr": 1.0})) == [({}, {"lr": 1.0})]
    assert grid_size(Space({"lr": 1.0}), CONFIG) == 1


def wrapped(option):
    return {"v": option}  # two equal scalars cannot be options


RANGES = st.one_of(
    st.just(IntRange(0, 1)),
    st.just(IntRange(3, 9)),
    st.just(Uniform(0, 1)),
    st.just(LogUniform(1, 2)),
    st.just(7),
)
TREES = st.recursive(
    RANGES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda options: Choice(tuple(map(wrapped, options)))),
        st.dictionaries(st.sampled_from("abc"), inner, min_size=1, max_size=2),
        st.lists(inner, min_size=1, max_size=2),
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from("xyz"), TREES, max_size=2), st.integers(2, 3))
def test_the_size_is_the_number_of_distinct_combinations(tree, points):
    space = Space(tree)
    size = grid_size(space, SamplerConfig(name="grid", grid_points=points))
    if size > 3000:
        return
    found = [frozenset(values.items()) for values, _ in combinations(space, points)]
    assert len(found) == len(set(found)) == size


def test_every_draw_from_the_grids_values_is_one_of_its_combinations():
    """Oracle: random walks through the space, which know nothing of the enumeration."""
    space = Space(
        {
            "a": Choice(({"n": 0, "u": Uniform(0, 1), "in": Choice(({"n": 2, "i": IntRange(0, 5)}, 4))}, 3)),
            "lr": LogUniform(1e-4, 1e-1),
        }
    )
    rng = np.random.default_rng(0)
    found = {frozenset(values.items()) for values, _ in combinations(space)}
    drawn = set()
    for _ in range(2000):
        values = {}

        def suggest(name, distribution, values=values):
            candidates = grid_values(distribution, 3)
            values[name] = candidates[rng.integers(len(candidates))]
            return values[name]

        space.propose(suggest)
        drawn.add(frozenset(values.items()))
    assert drawn == found


@pytest.mark.parametrize("points", [2, 3, 5])
def test_a_large_grid_is_counted_without_walking(points):
    space = Space({str(i): Uniform(0, 1) for i in range(40)})
    assert grid_size(space, SamplerConfig(name="grid", grid_points=points)) == points**40
    assert next(grid_combinations(space, CONFIG))[1] == {str(i): 0.0 for i in range(40)}
