"""What the tables of a soup say, in words and numbers."""

from __future__ import annotations

import pytest
from rich.console import Console

from vgsearch.reporting.soup import SoupRow, render_trajectory, single_ingredient_lines


def row(number, **changes):
    values = {
        "reference": f"models:/vgsearch-broth/{number}",
        "alone": 60.0,
        "share": 0.5,
        "value": 61.0,
        "part": 1.0,
        "floor": 60.0,
        "difference": 1.0,
        "low": -0.5,
        "high": 2.5,
        "is_taken": True,
        "is_broken": False,
        "is_recalibrated": False,
    }
    return SoupRow(**{**values, **changes})


FIRST = row(1, value=60.0, floor=None, difference=None, low=None, high=None)


def printed(renderable, width=200):
    console = Console(width=width, record=True, force_terminal=False)
    console.print(renderable)
    return console.export_text()


def line_of(text, number):
    return next(line.rstrip() for line in text.splitlines() if f"broth/{number}" in line)


def trajectory(*rows, method="greedy"):
    return printed(
        render_trajectory([FIRST, *rows], criterion="val/recall_at_1", num_queries=96, method=method)
    )


def test_every_verdict_has_its_reason():
    text = trajectory(
        row(2),
        row(3, low=0.2),
        row(4, value=60.0, difference=0.0, low=-1.0, high=1.0),
        row(5, value=57.9, difference=-2.1, low=-4.0, high=-0.2, is_taken=False),
        row(6, value=58.0, part=0.43, difference=None, low=None, high=None, is_taken=False),
        row(7, value=0.0, is_broken=True, difference=None, low=None, high=None, is_taken=False),
        row(8, is_recalibrated=True, low=0.5),
    )
    assert "first" in line_of(text, 1)
    assert line_of(text, 2).endswith("taken: better; the interval holds zero")
    assert "+1.0 [-0.5, +2.5]" in line_of(text, 2)
    assert line_of(text, 3).endswith("taken: better")
    assert line_of(text, 4).endswith("taken: as good as before")
    assert line_of(text, 5).endswith("refused: 2.1 points lower")
    assert "<= 58.0" in line_of(text, 6)
    assert line_of(text, 6).endswith("refused: cannot reach 60.0, given up after 43% of the images")
    assert line_of(text, 7).endswith("refused: its descriptors are not finite")
    assert line_of(text, 8).endswith("taken: better, BatchNorm taken again")
    assert "96 queries" in text
    assert "the soup before it" in text


def test_a_uniform_soup_is_compared_with_the_best_and_takes_all():
    text = trajectory(row(2, value=50.0, difference=-10.0, low=-14.0, high=-6.0), method="uniform")
    assert line_of(text, 2).endswith("taken, as all are")
    assert "over the best ingredient" in text


def test_shares_stand_where_they_are_chosen():
    assert "share" in trajectory(row(2, share=0.3), method="interpolate")
    assert "share" not in trajectory(row(2), method="greedy")


def test_a_narrow_terminal_keeps_every_verdict():
    rows = [FIRST, row(6, value=58.0, part=0.43, difference=None, low=None, high=None, is_taken=False)]
    text = printed(
        render_trajectory(rows, criterion="val/recall_at_1", num_queries=96, method="greedy"), width=80
    )
    assert "given up" in " ".join(text.split())


@pytest.mark.parametrize("far", [True, False])
def test_a_soup_of_one_says_what_it_is_and_why(far):
    refused = row(2, value=58.5, difference=-1.5, low=-3.0, high=0.5, is_taken=False)
    lost = row(3, value=59.0, part=0.4, difference=None, low=None, high=None, is_taken=False)
    lines = single_ingredient_lines(
        [FIRST, refused, *([lost] if far else [])], diagnose="vgsearch soup --diagnose"
    )
    assert lines[0] == "The soup has one ingredient: it equals models:/vgsearch-broth/1."
    assert "broth/2, 1.5 points short" in lines[1]
    assert ("search.branch" in " ".join(lines)) == far
    assert lines[-1].endswith("vgsearch soup --diagnose")
    assert single_ingredient_lines([FIRST], diagnose="x") == lines[:1]


def test_a_narrow_console_has_whole_numbers_and_verdicts_below():
    rows = [FIRST, row(2), row(3, value=57.9, difference=-2.1, low=-4.0, high=-0.2, is_taken=False)]
    shown = render_trajectory(rows, criterion="val/recall_at_1", num_queries=96, method="greedy")
    text = printed(shown, width=80)
    assert "…" not in text
    assert "+1.0 [-0.5, +2.5]" in line_of(text, 2)
    assert [line.rstrip() for line in text.splitlines() if line.startswith("3")][1] == (
        "3  refused: 2.1 points lower"
    )
