from __future__ import annotations

from vgsearch.reporting.rows import pool_recalls
from vgsearch.retrieval.recall import Recall


def test_pooling_counts_hits_and_queries_together() -> None:
    day = {1: Recall(1, 10, 40), 5: Recall(5, 30, 40)}
    night = {1: Recall(1, 2, 20), 5: Recall(5, 11, 20), 10: Recall(10, 15, 20)}
    assert pool_recalls({"day": day, "night": night}) == {1: Recall(1, 12, 60), 5: Recall(5, 41, 60)}


def test_pooling_equal_splits_is_their_mean() -> None:
    first, second = Recall(1, 13, 50), Recall(1, 40, 50)
    pooled = pool_recalls({"a": {1: first}, "b": {1: second}})[1]
    assert pooled.value == (first.value + second.value) / 2


def test_nothing_pools_to_nothing() -> None:
    assert pool_recalls({}) == {}
    assert pool_recalls({"a": {}}) == {}
