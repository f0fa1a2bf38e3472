from __future__ import annotations

from dataclasses import replace

import pytest

from vgsearch.registry.records import TRIAL_ENDS
from vgsearch.reporting import wording
from vgsearch.reporting.rows import LeaderboardRow, MarginUnit
from vgsearch.retrieval.recall import Recall

ROW = LeaderboardRow(1, 0, "a-0", "complete", "net", "cosface", 0.4, 30.0, None, 2, 4, {}, 1.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1:00"),
        (307, "5:07"),
        (3600, "1:00:00"),
        (7507, "2:05:07"),
        (-1, "0 s"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert wording.duration(seconds) == text


@pytest.mark.parametrize(
    ("margin", "unit", "text"),
    [
        (0.4, "cos", "0.40 cos"),
        (0.5, "rad", "0.50 rad"),
        (1.5, "mul", "x1.50"),
        (0.4, "", "0.40"),
        (None, "", "-"),
    ],
)
def test_margins_carry_their_unit(margin: float | None, unit: MarginUnit, text: str) -> None:
    assert wording.margin(replace(ROW, margin=margin, margin_unit=unit)) == text


def test_recalls_and_their_intervals() -> None:
    recall = Recall(1, 63, 100)
    low, high = recall.interval
    assert wording.percent(recall) == "63.0"
    assert wording.bracket(recall) == f"[{100 * low:.1f}, {100 * high:.1f}]"
    assert wording.with_interval(recall) == str(recall) == "63.0 [53.2, 71.8]"
    assert wording.half_width(recall) == "±9.3"
    assert wording.percent(None) == wording.with_interval(None) == "-"
    assert wording.bracket(None) == wording.half_width(None) == ""


def test_missing_parts_of_a_row_are_dashes() -> None:
    assert wording.alpha(ROW) == "-"
    assert wording.alpha(replace(ROW, grl_alpha=0.0)) == "0.00"
    assert wording.epoch(ROW) == "2/4"
    assert wording.epoch(replace(ROW, best_epoch=None)) == "-/4"


def test_states_are_words() -> None:
    assert wording.styled_state("out_of_memory").plain == "out of memory"
    assert wording.ending("out_of_memory") == "ran out of memory"
    assert wording.ending("failed") == "failed"
    assert wording.ending("infeasible") == "broke a constraint"


def test_every_state_has_a_colour() -> None:
    for name in ("running", *TRIAL_ENDS):
        assert wording.styled_state(name).style != "default"


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0.00"), (0.042, "0.04"), (1.25, "1.25"), (113.4, "113"), (1234.4, "1234")]
)
def test_hours(count: float, text: str) -> None:
    assert wording.hours(count) == text


def test_gigabytes() -> None:
    assert wording.gigabytes(10.44e9) == "10.4"
    assert wording.gigabytes(None) == "-"
