from __future__ import annotations

import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgsearch.config.distributions import (
    Categorical,
    IntRange,
    LogUniform,
    Uniform,
    format_scalar,
    repeated_scalar,
)

finite = st.floats(allow_nan=False, allow_infinity=False, width=32)


@given(finite, finite)
def test_uniform_centre_is_inside_and_halfway(a, b):
    low, high = sorted((a, b))
    if low == high:
        with pytest.raises(ValueError, match="needs low < high"):
            Uniform(low, high)
        return
    centre = Uniform(low, high).centre
    assert Uniform(low, high).contains(centre)
    assert centre == pytest.approx((low + high) / 2, rel=1e-6, abs=1e-37)


@given(st.floats(1e-300, 1e300), st.floats(1e-300, 1e300))
def test_loguniform_centre_is_the_geometric_middle(a, b):
    low, high = sorted((a, b))
    if low == high:
        return
    dist = LogUniform(low, high)
    assert dist.contains(dist.centre)
    assert math.log(dist.centre) == pytest.approx((math.log(low) + math.log(high)) / 2, abs=1e-9)


@given(st.integers(-(10**6), 10**6), st.integers(1, 10**6))
def test_int_centre_is_a_whole_number_inside(low, width):
    dist = IntRange(low, low + width)
    assert isinstance(dist.centre, int)
    assert dist.contains(dist.centre)
    assert not dist.contains(low - 1)
    assert not dist.contains(low + 0.5)
    assert not dist.contains(True)


def test_widest_range_has_a_finite_centre():
    assert Uniform(-1e308, 1e308).centre == 0


@pytest.mark.parametrize(
    ("kind", "low", "high", "text"),
    [
        (Uniform, 1, 1, "!uniform needs low < high, got [1, 1]; write a single value to fix it"),
        (Uniform, 2.5, 1, "!uniform needs low < high, got [2.5, 1]; write a single value to fix it"),
        (Uniform, "1", 2, "!uniform takes two finite numbers [low, high], got '1'"),
        (Uniform, 0, math.inf, "!uniform takes two finite numbers [low, high], got inf"),
        (Uniform, math.nan, 1, "!uniform takes two finite numbers [low, high], got nan"),
        (Uniform, False, 1, "!uniform takes two finite numbers [low, high], got false"),
        (Uniform, 0, 10**400, f"!uniform takes two finite numbers [low, high], got 1{'0' * 400}"),
        (LogUniform, 0, 1, "!loguniform needs low > 0, got [0, 1]"),
        (LogUniform, -1, 1, "!loguniform needs low > 0, got [-1, 1]"),
        (IntRange, 1.0, 2, "!int takes two whole numbers [low, high], got 1.0"),
        (IntRange, 1, True, "!int takes two whole numbers [low, high], got true"),
        (IntRange, 3, 3, "!int needs low < high, got [3, 3]; write a single value to fix it"),
    ],
)
def test_impossible_ranges_say_the_rule_and_the_values(kind, low, high, text):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the whole text is compared)
        kind(low, high)
    assert str(caught.value) == text


def test_distributions_compare_by_value_not_by_line_and_pickle():
    for dist in (
        Uniform(0, 1, line=3),
        LogUniform(1e-5, 1, line=3),
        IntRange(1, 9, line=3),
        Categorical((None, "a", 1.5), line=3),
    ):
        assert pickle.loads(pickle.dumps(dist)) == dist
        assert pickle.loads(pickle.dumps(dist)).line == 3
    assert Uniform(0, 1, line=3) == Uniform(0, 1, line=7)


def test_categorical():
    dist = Categorical((None, "a", 2))
    assert dist.centre is None
    assert dist.contains("a")
    assert not dist.contains("b")
    assert str(dist) == "!choice [null, a, 2]"


def test_format_scalar_spells_yaml():
    values = [None, True, False, 20.0, 1e-5, 0.25, 3, "x"]
    assert [format_scalar(v) for v in values] == ["null", "true", "false", "20", "1e-05", "0.25", "3", "x"]


def test_repeated_scalar_sees_what_a_study_cannot_tell_apart():
    assert repeated_scalar(["a", "b", None, {}, {}]) is None
    assert repeated_scalar([1, "a", True]) == "1 and true"
    assert repeated_scalar([None, None]) == "null and null"
