from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from vgsearch.reporting.paired import compare_pair
from vgsearch.reporting.rows import LeaderboardRow
from vgsearch.reporting.verdicts import lead_verdict
from vgsearch.retrieval.recall import Recall, RetrievalResult

RNG = np.random.default_rng(0)
UTM_M = RNG.uniform(0, 2000, (300, 2))


def result(hits: np.ndarray, *, stamp: str = "s", with_positions: bool = True) -> RetrievalResult:
    ranks = np.where(hits, 0, -1).astype(np.int32)
    return RetrievalResult("val", ranks, 0, stamp, query_utm_m=UTM_M[: len(hits)] if with_positions else None)


LOWER = RNG.random(300) < 0.5
HIGHER = LOWER | (RNG.random(300) < 0.06)


def test_the_named_split_is_compared_query_by_query() -> None:
    night = {"day": result(~LOWER), "night": result(LOWER)}, {"day": result(LOWER), "night": result(HIGHER)}
    paired = compare_pair(*night, "val/night/recall_at_1")
    assert paired is not None
    gained = int((HIGHER & ~LOWER).sum())
    assert paired.bootstrap.difference == pytest.approx(gained / 300)
    assert paired.mcnemar.p_value == pytest.approx(binomtest(0, gained).pvalue)


def test_the_mean_of_splits_pools_their_queries() -> None:
    lower = {"day": result(LOWER[:200]), "night": result(LOWER[200:])}
    higher = {"day": result(HIGHER[:200]), "night": result(HIGHER[200:])}
    paired = compare_pair(lower, higher, "val/mean/recall_at_5")
    assert paired is not None
    assert (paired.first.hits, paired.second.hits) == (LOWER.sum(), HIGHER.sum())
    assert paired.second.num_queries == 300
    assert paired.second.n == 5
    # Day and night photos of one place are one place: the night's 100 stand where the day's first 100 do.
    assert paired.bootstrap.num_places <= 200


def test_what_is_missing_or_of_other_queries_is_not_compared() -> None:
    objective = "val/recall_at_1"
    good = {"": result(LOWER)}
    assert compare_pair(good, {"": result(HIGHER)}, objective) is not None
    assert compare_pair(good, {}, objective) is None
    assert compare_pair({}, {}, "val/mean/recall_at_1") is None
    assert compare_pair(good, {"": result(HIGHER, stamp="t")}, objective) is None
    assert compare_pair({"": result(LOWER, with_positions=False)}, good, objective) is None
    assert compare_pair({"day": result(LOWER)}, {"night": result(HIGHER)}, "val/mean/recall_at_1") is None


def row(number: int, hits: np.ndarray) -> LeaderboardRow:
    recalls = {1: Recall(1, int(hits.sum()), 300)}
    return LeaderboardRow(
        1, number, f"s-{number}", "complete", "net", "cosface", 0.4, 30.0, None, 1, 2, recalls, 1.0
    )


def test_the_paired_test_sees_a_lead_that_intervals_hide() -> None:
    rows = [row(3, HIGHER), row(1, LOWER)]
    blind = lead_verdict(rows, 1)
    assert blind is not None
    assert "cannot be told apart" in blind
    assert "by their intervals" in blind
    verdict = lead_verdict(
        rows, 1, compare_pair({"": result(LOWER)}, {"": result(HIGHER)}, "val/recall_at_1")
    )
    assert verdict is not None
    assert verdict.startswith(
        "The best trial stands apart from the next: on the same 300 queries trial 3 is "
        f"{(HIGHER.sum() - LOWER.sum()) / 3:.1f} points above trial 1"
    )
    assert "paired bootstrap" in verdict
    assert "McNemar's exact test: p = " in verdict


def test_level_trials_stay_level_and_the_others_are_counted_by_intervals() -> None:
    same = {"": result(LOWER)}
    verdict = lead_verdict([row(3, LOWER)] * 4, 1, compare_pair(same, same, "val/recall_at_1"))
    assert verdict is not None
    assert verdict.startswith("The best two cannot be told apart: on the same 300 queries")
    assert verdict.endswith("p = 1. By their intervals 2 more are level with the best.")


def test_a_lead_of_a_few_queries_is_no_lead_though_the_interval_leaves_out_zero() -> None:
    base = np.zeros(300, bool)
    better = np.arange(300) < 5
    paired = compare_pair({"": result(base)}, {"": result(better)}, "val/recall_at_1")
    assert paired is not None
    assert paired.bootstrap.low > 0
    assert binomtest(0, 5).pvalue > 0.05
    verdict = lead_verdict([row(3, better), row(1, base)], 1, paired)
    assert verdict is not None
    assert verdict.startswith("The best two cannot be told apart: on the same 300 queries")
    assert "fewer than 6 places changed" in verdict
