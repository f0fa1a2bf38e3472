import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import qmc

from vgsearch.config.space import Categorical, Choice, IntRange, LogUniform, Space, Uniform
from vgsearch.search.sobol import at_fraction, sobol_point

SPACE = Space(
    {
        "lr": LogUniform(1e-5, 1e-1),
        "a": Uniform(-2, 2),
        "k": IntRange(1, 8),
        "loss": Choice(({"name": "one", "scale": Uniform(20, 60)}, {"name": "two", "scale": Uniform(1, 2)})),
        "size": Choice((16, 32, 64, 128)),
    }
)


def decided(seed, index, attempt=0):
    return SPACE.propose(sobol_point(SPACE, seed, index, attempt))


@pytest.mark.parametrize("index", [0, 1, 2, 3, 17, 1000])
def test_a_point_is_that_of_scipys_sequence(index):
    sequence = qmc.Sobol(7, scramble=True, seed=np.random.default_rng([5]))
    expected = sequence.random(1024)[index]
    point = decided(5, index)
    assert point["lr"] == pytest.approx(10 ** (-5 + 4 * expected[0]))
    assert point["a"] == pytest.approx(-2 + 4 * expected[1])
    assert point["k"] == 1 + math.floor(8 * expected[2])
    assert point["loss"]["name"] == ("one" if expected[3] < 0.5 else "two")
    assert point["loss"]["scale"] == pytest.approx(
        20 + 40 * expected[4] if expected[3] < 0.5 else 1 + expected[5]
    )
    assert point["size"] == (16, 32, 64, 128)[math.floor(4 * expected[6])]


def test_the_first_points_are_balanced_in_every_value():
    """A property of the sequence: 2^m points fall equally into 2^k intervals of each dimension."""
    points = [decided(3, index) for index in range(64)]
    assert set(Counter(point["size"] for point in points).values()) == {16}
    assert set(Counter(point["k"] for point in points).values()) == {8}
    assert set(Counter(point["loss"]["name"] for point in points).values()) == {32}
    assert set(Counter(math.floor((math.log10(p["lr"]) + 5) * 16) for p in points).values()) == {1}


def test_points_are_spread_more_evenly_than_random_ones():
    space = Space({str(i): Uniform(0, 1) for i in range(4)})
    points = [list(space.propose(sobol_point(space, 0, index)).values()) for index in range(64)]
    random = [np.random.default_rng(seed).random((64, 4)) for seed in range(20)]
    assert qmc.discrepancy(points) < min(map(qmc.discrepancy, random))


def test_another_seed_or_attempt_is_another_sequence():
    points = [decided(0, 0), decided(1, 0), decided(0, 0, attempt=1), decided(0, 1)]
    assert len({point["lr"] for point in points}) == 4
    assert decided(0, 5) == decided(0, 5)


@given(st.floats(0, 1, exclude_max=True))
def test_a_value_is_always_one_of_its_distribution(fraction):
    distributions = [
        Uniform(-1e308, 1.7e308),
        LogUniform(1e-300, 1e300),
        IntRange(-3, 3),
        IntRange(0, 2**60),
        Categorical(("a", None, 3)),
    ]
    for distribution in distributions:
        assert distribution.contains(at_fraction(distribution, fraction))


@given(st.integers(-5, 5), st.integers(1, 9), st.integers(0, 99))
def test_whole_numbers_have_equal_shares(low, width, step):
    """Oracle: of evenly spaced fractions, each number gets as many as the others, the ends included."""
    count = (width + 1) * 8
    values = Counter(at_fraction(IntRange(low, low + width), (i + step / 100) / count) for i in range(count))
    assert values == {value: 8 for value in range(low, low + width + 1)}


def test_nothing_searched_is_a_point_too():
    assert Space({"lr": 1}).propose(sobol_point(Space({"lr": 1}), 0, 3)) == {"lr": 1}
