from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from vgsearch.reporting.pareto import pareto_front

# Few values, so that ties and equal rows are common.
value = st.sampled_from([math.nan, -1.0, 0.0, 1.0, 2.0, 1e12])
matrices = st.integers(1, 4).flatmap(
    lambda k: st.lists(st.lists(value, min_size=k, max_size=k), min_size=1, max_size=12)
)


def dominates(one: list[float], other: list[float]) -> bool:
    somewhere_lower = False
    for a, b in zip(one, other, strict=True):
        if math.isnan(a) and not math.isnan(b):
            return False
        if not math.isnan(a) and not math.isnan(b) and a > b:
            return False
        if (math.isnan(b) and not math.isnan(a)) or a < b:
            somewhere_lower = True
    return somewhere_lower


def front_of(rows: list[list[float]]) -> NDArray[np.bool_]:
    return pareto_front(np.array(rows, dtype=np.float64))


@given(matrices)
def test_as_a_loop_over_all_pairs_finds_it(rows: list[list[float]]) -> None:
    expected = [not any(dominates(other, row) for other in rows) for row in rows]
    assert front_of(rows).tolist() == expected


@given(matrices, st.randoms())
def test_it_depends_neither_on_order_nor_on_the_beaten(rows: list[list[float]], random: object) -> None:
    front = front_of(rows)
    assert front.any()
    order = list(range(len(rows)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert front_of([rows[i] for i in order]).tolist() == front[order].tolist()
    assert front_of([row for row, kept in zip(rows, front, strict=True) if kept]).all()


def test_the_lowest_in_one_respect_stays_though_another_is_unknown() -> None:
    assert front_of([[-50.0, math.nan], [-40.0, 3.0], [-40.0, math.nan]]).tolist() == [True, True, False]


def test_no_rows_and_no_matrix() -> None:
    assert pareto_front(np.empty((0, 3))).tolist() == []
    with pytest.raises(ValueError, match="must be"):
        pareto_front(np.zeros(3))
