from __future__ import annotations

import pytest

from vgsearch.config.choice import Choice, is_scalar
from vgsearch.config.distributions import Categorical, IntRange, Uniform


def test_a_choice_over_scalars_is_asked_for_by_its_scalars():
    assert Choice((None, 0.5, "a", True)).distribution == Categorical((None, 0.5, "a", True))


def test_a_choice_over_mappings_is_asked_for_by_index_and_name():
    choice = Choice(({"name": "cosface"}, {"name": "arcface"}, {"grl_alpha": 0.3}))
    assert choice.distribution.labels == ("0_cosface", "1_arcface", "2")


def test_a_mixed_choice_is_asked_for_by_labels_of_every_kind():
    choice = Choice(
        (None, "a b/c", {"name": Choice(("x", "y"))}, Uniform(0, 1), IntRange(1, 2), Choice((1, 2)), [1])
    )
    assert choice.distribution.labels == ("0_null", "1_a-b-c", "2", "3_uniform", "4_int", "5_choice", "6")


def test_a_long_name_gives_a_bounded_label():
    assert len(Choice(({"name": "n" * 500}, None)).label(0)) == 2 + 64


def test_impossible_choices():
    with pytest.raises(ValueError, match="needs at least one option"):
        Choice(())
    with pytest.raises(ValueError, match="must not repeat an option, got a and a; keep one"):
        Choice(("a", "b", "a"))


def test_is_scalar():
    assert all(is_scalar(value) for value in (None, 1, 1.5, "a", False))
    assert not any(is_scalar(value) for value in ({}, [], Uniform(0, 1), Choice((1,))))
