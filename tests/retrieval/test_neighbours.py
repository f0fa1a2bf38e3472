from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vgsearch.errors import DataError
from vgsearch.retrieval.neighbours import nearest


def _unit_rows(seed: int, n: int, d: int) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).standard_normal((n, d))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def _brute_force(database: NDArray[np.float32], queries: NDArray[np.float32], k: int) -> list[list[int]]:
    found = []
    for query in queries.astype(np.float64):
        distances = [float(np.square(row - query).sum()) for row in database.astype(np.float64)]
        order = sorted(range(len(database)), key=lambda i: (distances[i], i))[:k]
        found.append(order + [-1] * (k - len(order)))
    return found


@pytest.mark.parametrize(("n", "q", "k"), [(1, 1, 1), (5, 3, 20), (300, 40, 20), (300, 7, 1), (33, 50, 33)])
def test_equals_a_loop_over_float64_distances(n: int, q: int, k: int) -> None:
    database, queries = _unit_rows(0, n, 24), _unit_rows(1, q, 24)
    found = nearest(database, queries, k)
    assert found.dtype == np.int64
    assert found.tolist() == _brute_force(database, queries, k)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 80), st.integers(1, 12), st.integers(1, 25), st.integers(0, 2**32 - 1))
def test_equal_distances_come_by_lower_id(n: int, q: int, k: int, seed: int) -> None:
    # Coordinates in {-1, 0, 1}: many equal distances, also between rows that are not copies.
    rng = np.random.default_rng(seed)
    database = rng.integers(-1, 2, (n, 4)).astype(np.float32)
    queries = rng.integers(-1, 2, (q, 4)).astype(np.float32)
    assert nearest(database, queries, k).tolist() == _brute_force(database, queries, k)


def test_collapsed_network_finds_the_first_ids() -> None:
    row = _unit_rows(0, 1, 512)
    found = nearest(np.repeat(row, 3001, axis=0), np.repeat(row, 70, axis=0), 20)
    assert (found == np.arange(20)).all()


@pytest.mark.parametrize("spread", [1e-4, 1e-5, 5e-8])
def test_differences_below_float32_error_of_a_product_are_ranked(spread: float) -> None:
    # As of an untrained network, all rows lie close together: |q|^2 + |x|^2 - 2 q.x would return noise.
    centre = _unit_rows(0, 1, 512)
    rng = np.random.default_rng(1)
    database = (centre + spread * rng.standard_normal((400, 512))).astype(np.float32)
    queries = (centre + spread * rng.standard_normal((9, 512))).astype(np.float32)
    assert nearest(database, queries, 10).tolist() == _brute_force(database, queries, 10)


def test_copies_spread_over_the_database_come_in_id_order() -> None:
    database = _unit_rows(0, 2000, 96)
    copies = np.sort(np.random.default_rng(3).choice(2000, 90, replace=False))
    database[copies] = database[copies[0]]
    found = nearest(database, database[copies[:1]], 50)
    assert found[0].tolist() == copies[:50].tolist()


def test_blocked_torch_search_gives_the_same() -> None:
    from vgsearch.retrieval import blocked_search

    database, queries = _unit_rows(0, 500, 32), _unit_rows(1, 60, 32)
    candidates = blocked_search.search(
        database, queries, 20, torch.device("cpu"), database_block=130, query_block=17
    )
    assert np.sort(candidates).tolist() == np.sort(_brute_force(database, queries, 20)).tolist()


def test_blocked_torch_search_ignores_reduced_precision_around_it() -> None:
    from vgsearch.retrieval import blocked_search

    database, queries = _unit_rows(0, 500, 32), _unit_rows(1, 60, 32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        candidates = blocked_search.search(database, queries, 20, torch.device("cpu"))
    assert np.sort(candidates).tolist() == np.sort(_brute_force(database, queries, 20)).tolist()


def test_thread_counts_are_left_alone() -> None:
    import faiss

    before = torch.get_num_threads(), faiss.omp_get_max_threads()
    nearest(_unit_rows(0, 100, 8), _unit_rows(1, 30, 8), 3)
    assert (torch.get_num_threads(), faiss.omp_get_max_threads()) == before


def test_result_does_not_depend_on_the_thread_count() -> None:
    database, queries = _unit_rows(0, 700, 48), _unit_rows(1, 64, 48)
    database[300:400] = database[100]
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(nearest(database, queries, 20))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("role", ["database", "query"])
def test_values_that_are_not_finite_are_refused(value: float, role: str) -> None:
    database, queries = _unit_rows(0, 10, 4), _unit_rows(1, 5, 4)
    (database if role == "database" else queries)[3, 2] = value
    with pytest.raises(DataError, match=f"1 of .* {role} rows hold NaN or infinity, first row 3"):
        nearest(database, queries, 2)


def test_descriptors_of_two_lengths_are_refused() -> None:
    with pytest.raises(DataError, match="got 4 in the database and 8 in the queries"):
        nearest(_unit_rows(0, 3, 4), _unit_rows(0, 3, 8), 1)


def test_impossible_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="k >= 1"):
        nearest(_unit_rows(0, 3, 4), _unit_rows(0, 3, 4), 0)
    with pytest.raises(ValueError, match="2-D"):
        nearest(_unit_rows(0, 3, 4), _unit_rows(0, 3, 4)[0], 1)


def test_nothing_to_search() -> None:
    assert nearest(_unit_rows(0, 3, 4), np.empty((0, 4), np.float32), 2).shape == (0, 2)
    assert nearest(np.empty((0, 4), np.float32), _unit_rows(0, 3, 4), 2).tolist() == [[-1, -1]] * 3


def test_read_only_arrays_are_searched() -> None:
    database = _unit_rows(0, 50, 4)
    database[:] = database[0]
    database.setflags(write=False)
    assert nearest(database, database[:2], 3).tolist() == [[0, 1, 2]] * 2
