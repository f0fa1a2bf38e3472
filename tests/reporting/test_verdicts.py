from __future__ import annotations

import pytest

from vgsearch.registry.records import TrialState
from vgsearch.reporting.rows import LeaderboardRow
from vgsearch.reporting.verdicts import (
    constraint_line,
    decisive_n,
    decisive_split,
    failure_lines,
    lead_verdict,
    listed,
    outside,
    untrained_verdict,
)
from vgsearch.retrieval.recall import Recall


def row(number: int, hits: int | None, state: TrialState = "complete", reason: str = "") -> LeaderboardRow:
    recalls = {} if hits is None else {1: Recall(1, hits, 200)}
    return LeaderboardRow(
        1, number, f"s-{number}", state, "net", "cosface", 0.4, 30.0, None, 1, 2, recalls, 1.0, reason
    )


@pytest.mark.parametrize(
    ("objective", "n"),
    [("val/recall_at_1", 1), ("val/night/recall_at_20", 20), ("val/mean/recall_at_5", 5), ("other", 1)],
)
def test_the_objective_says_which_recall_decides(objective: str, n: int) -> None:
    assert decisive_n(objective) == n


def test_a_clear_lead() -> None:
    assert lead_verdict([row(3, 150), row(1, 90)], 1) == (
        "The best trial stands apart from the next by their intervals: "
        "trial 3 with 75.0 [68.6, 80.5] and trial 1 with 45.0 [38.3, 51.9]."
    )


def test_the_best_two_level_and_others_with_them() -> None:
    verdict = lead_verdict([row(3, 100), row(1, 98), row(0, 97), row(2, 40)], 1)
    assert verdict is not None
    assert verdict.startswith(
        "The best two cannot be told apart on 200 queries by their intervals: trial 3 with 50.0 [43.1, 56.9]"
    )
    assert verdict.endswith("trial 1 with 49.0 [42.2, 55.9], nor can 1 more be told from the best.")


def test_no_verdict_without_two_scored_trials() -> None:
    assert lead_verdict([], 1) is None
    assert lead_verdict([row(0, 10), row(1, None)], 1) is None


def test_outside_needs_both_intervals_to_exclude_the_other_value() -> None:
    for better in range(60, 200, 7):
        for worse in range(50, 200, 7):
            a, b = Recall(1, better, 200), Recall(1, worse, 200)
            apart = a.value > b.value and not b.interval[0] <= a.value <= b.interval[1]
            apart = apart and not a.interval[0] <= b.value <= a.interval[1]
            assert outside(a, b) == apart


@pytest.mark.parametrize(
    ("hits", "words"),
    [
        (120, "the best trial beats it outside its interval (+20.0)"),
        (84, "the best trial is higher (+2.0), but within the interval"),
        (80, "the best trial does not beat it (+0.0)"),
        (60, "the best trial does not beat it (-10.0)"),
    ],
)
def test_the_untrained_backbone(hits: int, words: str) -> None:
    verdict = untrained_verdict([row(0, None), row(1, hits)], {1: Recall(1, 80, 200)}, 1)
    assert verdict is not None
    assert verdict.startswith("The untrained backbone has R@1 40.0 [33.5, 46.9]; ")
    assert words in verdict


def test_no_untrained_score_no_verdict() -> None:
    assert untrained_verdict([row(0, 80)], None, 1) is None
    assert untrained_verdict([row(0, 80)], {5: Recall(5, 1, 200)}, 1) is None
    assert untrained_verdict([row(0, None)], {1: Recall(1, 1, 200)}, 1) is None


def test_failures_give_their_reason() -> None:
    rows = [
        row(0, 80),
        row(1, None, "failed", "loss is not finite."),
        row(2, None, "out_of_memory"),
        row(3, 9, "stopped"),
    ]
    assert failure_lines(rows) == ["Trial 1 failed: loss is not finite.", "Trial 2 ran out of memory."]


def test_constraints_that_were_broken_are_counted_with_the_first_reasons() -> None:
    assert constraint_line([row(0, 80)]) is None
    rows = [row(i, 80, "infeasible", f"query_ms {30 + i} is above the constraint 20") for i in range(5)]
    assert constraint_line(rows[:1]) == (
        "1 trial broke a constraint and cannot be champion (trial 0: query_ms 30 is above the constraint 20)."
    )
    line = constraint_line(rows)
    assert line is not None
    assert line.startswith("5 trials broke a constraint and cannot be champion (trial 0: query_ms 30 ")
    assert line.endswith("trial 2: query_ms 32 is above the constraint 20; and 2 more).")


def test_who_cannot_be_champion_is_never_called_best() -> None:
    rows = [row(3, 100), row(1, 98), row(2, 150, "infeasible"), row(4, 160, "failed")]
    verdict = lead_verdict(rows, 1)
    assert verdict is not None
    assert "trial 3 with 50.0" in verdict
    assert verdict.endswith("trial 1 with 49.0 [42.2, 55.9].")
    assert lead_verdict([rows[0], *rows[2:]], 1) is None
    assert untrained_verdict(rows[2:], {1: Recall(1, 80, 200)}, 1) is None


def test_lists_in_words() -> None:
    assert [listed(words) for words in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]


@pytest.mark.parametrize(
    ("objective", "split"),
    [("val/recall_at_1", ""), ("val/night/recall_at_20", "night"), ("val/mean/recall_at_5", "mean")],
)
def test_the_objective_says_which_split_decides(objective: str, split: str) -> None:
    assert decisive_split(objective) == split
