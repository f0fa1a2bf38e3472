from __future__ import annotations

from dataclasses import replace

import pytest

from vgsearch.registry.records import TrialState
from vgsearch.reporting.rows import Costs, LeaderboardRow
from vgsearch.reporting.tradeoffs import find_tradeoffs, shown
from vgsearch.retrieval.recall import Recall


def row(number: int, hits: int, costs: Costs, state: TrialState = "complete") -> LeaderboardRow:
    recalls = {1: Recall(1, hits, 1000)}
    return LeaderboardRow(
        1, number, f"s-{number}", state, "net", "cosface", 0.4, 30, None, 1, 2, recalls, 1, costs=costs
    )


def costs(
    query_ms: float | None = 30.0, size: int = 2048, gpu_hours: float | None = 2.0, hours: float = 2.0
) -> Costs:
    return Costs(query_ms=query_ms, descriptor_bytes=size, gpu_hours=gpu_hours, hours=hours)


def test_members_and_what_a_cheaper_one_gives_up() -> None:
    rows = [
        row(5, 500, costs()),
        row(2, 490, costs(12.4)),
        row(7, 480, costs(40.0, gpu_hours=2.5)),  # beaten by both
        row(4, 300, costs(11.0, gpu_hours=0.5)),
    ]
    found = find_tradeoffs(rows, 1)
    assert found is not None
    assert found.axes == ("query_ms", "gpu_hours")  # every descriptor has the same size
    assert found.members == (5, 2, 4)
    assert found.sentences == (
        "Pareto front of R@1 (high) and ms a query and GPU-hours (low): the 3 trials marked *; every other "
        "one is beaten by one of them.",
        "Cheaper than trial 5: trial 2 with 12 instead of 30 ms a query, 1.0 points lower (within the "
        "intervals); trial 4 with 0.5 instead of 2 GPU-hours, 20.0 points lower.",
    )


def test_one_trial_alone_is_said_and_no_more() -> None:
    found = find_tradeoffs([row(5, 500, costs()), row(2, 400, costs(35.0))], 1)
    assert found is not None
    assert found.sentences == (
        "Pareto front of R@1 (high) and ms a query (low): trial 5 alone, no trial is better in any of them.",
    )


def test_timings_are_compared_as_they_are_printed() -> None:
    found = find_tradeoffs([row(5, 500, costs(30.4)), row(2, 400, costs(29.6)), row(3, 300, costs(50))], 1)
    assert found is not None
    assert found.members == (5,)


def test_without_gpus_hours_count() -> None:
    found = find_tradeoffs(
        [row(0, 50, costs(gpu_hours=None, hours=3)), row(1, 40, costs(gpu_hours=None, hours=1))], 1
    )
    assert found is not None
    assert found.axes == ("hours",)
    assert "1 instead of 3 hours of training" in found.sentences[1]


def test_an_unknown_cost_saves_nobody_and_loses_nobody_its_recall() -> None:
    found = find_tradeoffs([row(0, 500, costs(None)), row(1, 400, costs(None)), row(2, 300, costs(9))], 1)
    assert found is not None
    assert found.members == (0, 2)
    assert len(found.sentences) == 1  # nothing is cheaper than an unknown cost


@pytest.mark.parametrize("state", ["infeasible", "failed", "out_of_memory"])
def test_who_cannot_win_takes_no_part(state: TrialState) -> None:
    rows = [row(0, 50, costs()), row(1, 40, costs(9)), row(2, 90, costs(1), state)]
    found = find_tradeoffs(rows, 1)
    assert found is not None
    assert found.members == (0, 1)
    assert find_tradeoffs([rows[0], rows[2]], 1) is None


def test_nothing_to_say_where_all_cost_the_same() -> None:
    assert find_tradeoffs([row(0, 50, costs()), row(1, 40, costs())], 1) is None
    assert find_tradeoffs([], 1) is None
    assert find_tradeoffs([replace(row(0, 50, costs()), recalls={}), row(1, 40, costs(1))], 1) is None


def test_costs_are_short() -> None:
    assert shown(costs(123.4), "query_ms") == "120"
    assert shown(costs(1.26), "query_ms") == "1.3"
    assert shown(costs(None), "query_ms") == "-"
    assert shown(costs(size=12345), "descriptor_bytes") == "12345"
