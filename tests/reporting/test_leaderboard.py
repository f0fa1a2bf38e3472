from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.text import Text

from vgsearch.registry.scored_tests import Looks
from vgsearch.reporting.leaderboard import render_leaderboard
from vgsearch.reporting.rows import Costs, LeaderboardRow, Recalls, ScoreRow, pool_recalls
from vgsearch.retrieval.recall import Recall

Printed = Callable[..., list[str]]


def recalls(*percent: float, queries: int = 200) -> Recalls:
    return {
        n: Recall(n, round(value * queries / 100), queries)
        for n, value in zip((1, 5, 10, 20), percent, strict=True)
    }


BEST = LeaderboardRow(
    rank=1,
    number=5,
    uid="demo-3fa9c1-0005",
    state="complete",
    backbone="tf_efficientnet_lite0",
    loss="cosface",
    margin=0.31,
    margin_unit="cos",
    scale=42.1,
    grl_alpha=0.52,
    best_epoch=3,
    epochs=4,
    recalls=recalls(48, 80, 88.5, 94),
    seconds=62.3,
)
SECOND = replace(
    BEST,
    rank=2,
    number=2,
    uid="demo-3fa9c1-0002",
    loss="arcface",
    margin=0.4,
    margin_unit="rad",
    grl_alpha=None,
    recalls=recalls(46.5, 79, 88, 93),
    state="stopped",
)
FAILED = replace(
    BEST,
    rank=3,
    number=7,
    uid="demo-3fa9c1-0007",
    state="failed",
    best_epoch=None,
    recalls={},
    reason="no luck [x]",
)
UNTRAINED = recalls(30, 60, 70, 80)
TESTS = [ScoreRow("day", recalls(45, 78, 87, 93)), ScoreRow("night", recalls(20, 48, 57, 73, queries=105))]


def board(printed: Printed, width: int, *rows: LeaderboardRow, **changes: object) -> list[str]:
    settings = {"search": "demo", "objective": "val/recall_at_1", **changes}
    tests, untrained = settings.pop("tests", TESTS), settings.pop("untrained", UNTRAINED)
    return printed(render_leaderboard(rows, tests, untrained, **settings), width)  # type: ignore[arg-type]


@pytest.mark.parametrize("width", [80, 90, 100, 120, 140, 180, 220, 300])
def test_everything_is_there_at_every_width(printed: Printed, width: int) -> None:
    lines = board(printed, width, BEST, SECOND, FAILED)
    text = " ".join(" ".join(lines).split())
    assert max(map(len, lines)) <= width
    assert "…" not in text
    settings = "cosface,0.31 cos,42.1,0.52,arcface,0.40 rad,tf_efficientnet_lite0,demo-3fa9c1-0005"
    outcome = "3/4,1:02,complete,48.0,80.0,88.5,94.0,[41.2, 54.9],46.5,stopped,failed"
    for word in (*settings.split(","), *re.split(",(?! )", outcome), "200 val queries"):
        assert word in text
    assert "The best two cannot be told apart on 200 queries" in text
    assert "beats it outside its interval (+18.0)" in text
    assert "Trial 7 failed: no luck [x]." in text
    for word in ("Champion on the test sets", "20.0 [13.5, 28.6]" if width >= 100 else "[13.5, 28.6]", "105"):
        assert word in text


def test_a_wide_terminal_shows_one_line_a_trial_with_all_intervals(printed: Printed) -> None:
    (line,) = [line for line in board(printed, 220, BEST, SECOND) if line.startswith("1 ")]
    cells = [cell for cell in line.split("  ") if cell]
    assert [cell.strip() for cell in cells] == [
        "1",
        "demo-3fa9c1-0005",
        "tf_efficientnet_lite0",
        "cosface",
        "0.31 cos",
        "42.1",
        "0.52",
        "3/4",
        *(str(BEST.recalls[n]) for n in (1, 5, 10, 20)),
        "1:02",
        "complete",
    ]


def test_at_80_columns_intervals_stand_below(printed: Printed) -> None:
    lines = board(printed, 80, BEST, SECOND)
    top = next(index for index, line in enumerate(lines) if line.startswith("1 "))
    assert lines[top].split() == [
        "1",
        "5",
        "cosface",
        "0.31",
        "cos",
        "48.0",
        "80.0",
        "88.5",
        "94.0",
        "complete",
    ]
    assert lines[top + 1].split()[:5] == ["scale", "42.1,", "alpha", "0.52", "[41.2,"]
    assert "(± is half of one)" in " ".join(lines)


def test_backbones_that_differ_are_told_apart_when_narrow(printed: Printed) -> None:
    text = "\n".join(board(printed, 80, BEST, replace(SECOND, backbone="resnet18.tv_in1k")))
    assert "resnet18.tv_in1k" in text
    assert "tf_efficientnet_lite0" in text
    assert "every trial" not in text


@pytest.mark.parametrize("width", [80, 130, 200])
def test_several_splits_are_shown_beside_their_pool(printed: Printed, width: int) -> None:
    by_split = {"day": recalls(48, 80, 88, 94), "night": recalls(13.5, 40, 50, 60)}
    both = replace(BEST, by_split=by_split, recalls=pool_recalls(by_split))
    text = " ".join(" ".join(board(printed, width, both, objective="val/mean/recall_at_1")).split())
    assert "30.8" in text  # (48 + 13.5) / 2
    assert "48.0" in text
    assert "13.5" in text
    assert "400 val queries (200 day + 200 night)" in text


def test_the_objective_picks_the_recall_that_is_judged(printed: Printed) -> None:
    text = " ".join(board(printed, 120, BEST, SECOND, objective="val/recall_at_20"))
    assert "The untrained backbone has R@20 80.0" in text


@pytest.mark.parametrize("width", [80, 200])
def test_a_search_without_a_scored_trial(printed: Printed, width: int) -> None:
    text = " ".join(board(printed, width, FAILED, tests=[], untrained=None))
    assert "No trial finished an epoch." in text
    assert "Champion" not in text
    assert "untrained" not in text


def test_no_trials_at_all(printed: Printed) -> None:
    assert "No trial finished an epoch." in board(printed, 80, tests=[], untrained=None)


CHEAP = replace(
    SECOND, rank=3, number=4, uid="demo-3fa9c1-0004", recalls=recalls(30, 60, 70, 80), costs=Costs(11.9, 1024)
)
COSTLY = replace(BEST, costs=Costs(31.2, 2048, gpu_peak_bytes=10.4e9))
BROKEN = replace(
    SECOND,
    rank=4,
    number=9,
    state="infeasible",
    recalls=recalls(60, 70, 80, 90),
    reason="query_ms 31.0 is above the constraint 20",
)


@pytest.mark.parametrize("width", [80, 120, 200])
def test_the_front_is_marked_and_explained(printed: Printed, width: int) -> None:
    lines = board(printed, width, COSTLY, CHEAP, BROKEN)
    assert max(map(len, lines)) <= width
    assert [line.split()[0] for line in lines if re.match(r" ?\d\*?  ", line)] == ["1*", "3*", "4"]
    text = " ".join(" ".join(lines).split())
    assert "the 2 trials marked *" in text
    assert "trial 4 with 12 instead of 31 ms a query and 1024 instead of 2048 bytes a descriptor" in text
    assert "1 trial broke a constraint and cannot be champion (trial 9: query_ms 31.0" in text
    assert ("query ms" in lines[1]) == ("GPU GB" in lines[1]) == (width == 200)


def test_no_trial_that_may_be_champion(printed: Printed) -> None:
    text = " ".join(board(printed, 120, BROKEN, tests=[]))
    assert "No trial may be champion." in text
    assert "Best" not in text


def test_finalists_stand_between_the_search_and_the_tests(printed: Printed) -> None:
    lines = board(printed, 120, BEST, SECOND, finalists=Text("the finalists"))
    assert any(line.startswith("Best in the search: demo-3fa9c1-0005 ") for line in lines)
    assert lines.index("the finalists") < lines.index("Champion on the test sets")


def test_the_looks_at_the_tests_stand_below_them(printed: Printed) -> None:
    looks = {"day": Looks(1, 1), "night": Looks(3, 2)}
    text = " ".join(" ".join(board(printed, 120, BEST, test_looks=looks)).split())
    assert text.index("Champion on the test sets") < text.index("Looks at the tests: day scored once so far;")
    assert "night scored 3 times so far (2 different, 1 repeat)." in text
    assert "Looks at" not in " ".join(board(printed, 120, BEST, tests=[], test_looks=looks))
    assert "Looks at" not in " ".join(board(printed, 120, BEST))
