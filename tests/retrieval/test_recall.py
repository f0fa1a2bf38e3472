from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from vgsearch.errors import DataError
from vgsearch.retrieval.recall import Recall, RetrievalResult


def _result(ranks: list[int], **more: object) -> RetrievalResult:
    fields: dict[str, object] = {
        "set_name": "night",
        "num_without_positive": 0,
        "stamp": "abc-25m-native-none",
        "query_utm_m": np.arange(2.0 * len(ranks)).reshape(-1, 2),
    }
    return RetrievalResult(first_hit_rank=np.array(ranks, dtype=np.int32), **{**fields, **more})  # type: ignore[arg-type]


@given(st.integers(1, 3000).flatmap(lambda q: st.tuples(st.integers(0, q), st.just(q))))
def test_interval_is_scipys_wilson(case: tuple[int, int]) -> None:
    hits, num_queries = case
    interval = Recall(1, hits, num_queries).interval
    expected = binomtest(hits, num_queries).proportion_ci(method="wilson")
    assert interval == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_half_width_for_105_night_queries_is_9_points() -> None:
    low, high = Recall(1, 58, 105).interval
    assert 100 * (high - low) / 2 == pytest.approx(9.3, abs=0.1)


def test_recall_reads_as_percent() -> None:
    assert str(Recall(1, 393, 624)) == "63.0 [59.1, 66.7]"
    assert str(Recall(1, 0, 50)) == "0.0 [0.0, 7.1]"


@pytest.mark.parametrize(("n", "hits", "num_queries"), [(0, 0, 1), (1, 0, 0), (1, 3, 2), (1, -1, 2)])
def test_impossible_recalls_are_refused(n: int, hits: int, num_queries: int) -> None:
    with pytest.raises(ValueError, match="must hold"):
        Recall(n, hits, num_queries)


@given(st.lists(st.integers(-1, 19), min_size=1, max_size=60), st.sampled_from([1, 5, 10, 20]))
def test_recall_counts_as_a_loop_does(ranks: list[int], n: int) -> None:
    hits = 0
    for rank in ranks:
        if rank != -1 and rank + 1 <= n:
            hits += 1
    assert _result(ranks).at(n) == Recall(n, hits, len(ranks))


def test_summary_counts_queries_without_positive_out_loud() -> None:
    text = _result([0, -1, 3, -1], num_without_positive=1).summary((1, 5))
    assert text == (
        "R@1 25.0 [4.6, 69.9], R@5 50.0 [15.0, 85.0] "
        "(4 queries; 1 of them have no positive and count as failures)"
    )


def test_recall_beyond_the_judged_depth_is_refused() -> None:
    with pytest.raises(ValueError, match="depth=20"):
        _result([0]).at(21)


@pytest.mark.parametrize("ranks", [[], [-2], [20]])
def test_impossible_ranks_are_refused(ranks: list[int]) -> None:
    with pytest.raises(ValueError, match="ranks must be"):
        _result(ranks)


def test_more_lost_queries_than_misses_are_refused() -> None:
    with pytest.raises(ValueError, match="1 queries without a positive, but 0 misses"):
        _result([0], num_without_positive=1)


def test_ranks_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValueError, match="read-only"):
        _result([0]).first_hit_rank[0] = 1


@pytest.mark.parametrize("with_positions", [True, False])
def test_npz_round_trip(with_positions: bool, tmp_path) -> None:  # type: ignore[no-untyped-def]
    more = {} if with_positions else {"query_utm_m": None}
    result = _result([0, -1, 7], num_without_positive=1, depth=8, **more)
    data = result.to_npz_bytes()
    (tmp_path / "val.npz").write_bytes(data)
    for source in (data, tmp_path / "val.npz"):
        back = RetrievalResult.from_npz(source)
        assert (back.set_name, back.stamp, back.depth) == ("night", "abc-25m-native-none", 8)
        assert back.num_without_positive == 1
        np.testing.assert_array_equal(back.first_hit_rank, result.first_hit_rank)
        if with_positions:
            np.testing.assert_array_equal(back.query_utm_m, result.query_utm_m)
        else:
            assert back.query_utm_m is None
    assert back.to_npz_bytes() == data


def test_unnamed_set_survives_the_round_trip() -> None:
    assert RetrievalResult.from_npz(_result([0], set_name="").to_npz_bytes()).set_name == ""


def test_damaged_and_pickled_files_are_refused() -> None:
    data = _result([0, 1]).to_npz_bytes()
    with pytest.raises(DataError, match="score again"):
        RetrievalResult.from_npz(data[: len(data) // 2])
    pickled = io.BytesIO()
    np.savez(pickled, first_hit_rank=np.array([{}], dtype=object))
    with pytest.raises(DataError, match="cannot be read"):
        RetrievalResult.from_npz(pickled.getvalue())
    other = io.BytesIO()
    np.savez(other, x=np.zeros(3))
    with pytest.raises(DataError, match="hold no per-query results"):
        RetrievalResult.from_npz(other.getvalue())
    plain = io.BytesIO()
    np.save(plain, np.zeros(3))
    with pytest.raises(DataError, match=r"no \.npz archive"):
        RetrievalResult.from_npz(plain.getvalue())


def test_missing_file_is_named(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DataError, match=r"gone\.npz"):
        RetrievalResult.from_npz(tmp_path / "gone.npz")
