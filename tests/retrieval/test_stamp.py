"""A stamp is read as it was written, and nothing else is taken for one."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgsearch.config.query_method import QueryMethod
from vgsearch.retrieval.stamp import Stamp

SIDES = st.integers(16, 9999)


@given(
    threshold=st.floats(1e-9, 1e12).map(lambda m: f"{m:.9g}m".replace("+", "")),
    method=st.sampled_from(get_args(QueryMethod)),
    resize=st.one_of(st.just("fullsize"), SIDES.map(lambda side: f"{side}px")),
    target=st.one_of(st.just(""), st.tuples(SIDES, SIDES).map(lambda sides: f"{sides[0]}x{sides[1]}")),
)
def test_what_was_written_is_read(threshold: str, method: str, resize: str, target: str) -> None:
    stamp = Stamp("1f0c2a9e7b3d5a60", threshold, method, resize, target)
    assert Stamp.read(str(stamp)) == stamp


@pytest.mark.parametrize("text", ["", "25m-native-fullsize", "1f0c-25m-native-fullsize-480", "a-b-c-d"])
def test_anything_else_is_none(text: str) -> None:
    assert Stamp.read(text) is None
