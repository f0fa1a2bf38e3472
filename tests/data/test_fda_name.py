"""What a set's name ends with is read as it was written."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgsearch.config.fda import FdaSetting
from vgsearch.data.fda_name import FdaName
from vgsearch.registry.names import check_segment


@given(
    setting=st.sampled_from(get_args(FdaSetting)),
    beta=st.floats(0, 0.5, exclude_min=True, exclude_max=True),
    seed=st.integers(0, 2**31),
    style=st.one_of(st.just(""), st.text("0123456789abcdef", min_size=8, max_size=8)),
)
def test_what_was_written_is_read(setting: str, beta: float, seed: int, style: str) -> None:
    name = FdaName(setting, beta, seed, style)
    assert FdaName.of_set(f"test/night{name.suffix}") == name
    assert Path(check_segment(name.suffix, "a suffix")).name == name.suffix


def test_a_setting_alone_is_read() -> None:
    assert FdaName.of_set("val-fda-train_to_split") == FdaName("train_to_split")
    assert FdaName("train_to_split").suffix == "-fda-train_to_split"


@pytest.mark.parametrize("name", ["", "val", "photos/night-fda-night", "val-fda-train_to_split-beta0.1"])
def test_other_names_are_of_plain_photos(name: str) -> None:
    assert FdaName.of_set(name) is None
