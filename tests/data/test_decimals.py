from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgsearch.data.decimals import byte_buffer, parse_decimals


def parse(texts: list[str]) -> list[float]:
    buffer, borders = byte_buffer(texts)
    return parse_decimals(buffer, borders[:-1], borders[1:]).tolist()


def expected(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def assert_same(texts: list[str]) -> None:
    for text, value in zip(texts, parse(texts), strict=True):
        want = expected(text)
        same = math.isnan(value) if math.isnan(want) else value.hex() == want.hex()
        assert same, f"{text!r}: {value!r}, float gives {want!r}"


@given(st.lists(st.text(st.sampled_from("0123456789.+-eE_ n٣"), max_size=22), max_size=20))
def test_near_numbers_are_read_as_float_reads_them(texts: list[str]) -> None:
    assert_same(texts)


@given(st.lists(st.text(max_size=6), max_size=10))
def test_any_text_is_read_as_float_reads_it(texts: list[str]) -> None:
    assert_same(texts)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_printed_doubles_come_back_to_the_bit(values: list[float]) -> None:
    assert parse([repr(value) for value in values]) == values


@given(st.lists(st.decimals(-(10**7), 10**7, places=2), min_size=1))
def test_coordinates_come_back_to_the_bit(values: list[object]) -> None:
    assert parse([f"{value:010.2f}" for value in values]) == [float(f"{value:010.2f}") for value in values]


@pytest.mark.parametrize("text", ["", ".", "-", "+.", "1..2", "1.2.3", "--1", "nan", "inf", "-inf", "1e999"])
def test_what_is_no_finite_number_is_nan(text: str) -> None:
    assert np.isnan(parse([text, "7"])[0])
    assert parse([text, "7"])[1] == 7
