import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from vgsearch.reporting.barrier_plot import plot_lines
from vgsearch.reporting.diagnosis import LineRow, PairRow, render_diagnosis, verdict
from vgsearch.retrieval.recall import Recall


def row(*hits, **changes):
    points = tuple(LineRow(i / (len(hits) - 1), Recall(1, h, 200)) for i, h in enumerate(hits))
    values = {
        "first": "v3",
        "second": "v7",
        "start": "same",
        "distance": 0.12,
        "linear_distance": 0.4,
        "bn_layers": 20,
        "bn_moved": 12,
        "bn_shift": 0.31,
        "num_integers": 0,
        "points": points,
        "barrier_at": 0.5,
        "barrier_points": 12.3,
        "barrier_low": 9.1,
        "barrier_high": 15.2,
    }
    return PairRow(**{**values, **changes})


MERGEABLE = row(120, 126, 131, 128, 122, barrier_points=-2.0, barrier_low=-4.0, barrier_high=0.5)
BARRED = row(120, 80, 60, 70, 118, start="different", second="v12")


def printed(renderable, width, *, is_terminal=False):
    console = Console(width=width, file=io.StringIO(), force_terminal=is_terminal, color_system=None)
    console.print(renderable)
    return console.file.getvalue()


@pytest.fixture
def report():
    return render_diagnosis(
        [MERGEABLE, BARRED],
        criterion="val/recall_at_1",
        models=[("v3", "models:/vgsearch-grl/3, trial grl-ab12-0003"), ("v7", "models:/vgsearch-grl/7")],
        num_queries=200,
        num_places=90,
    )


@pytest.mark.parametrize("is_terminal", [True, False])
def test_it_can_be_read_in_80_columns(report, is_terminal):
    text = printed(report, 80, is_terminal=is_terminal)
    assert "…" not in text
    lines = [line.rstrip() for line in text.splitlines()]
    assert all(len(line) <= 80 for line in lines)
    (facts,) = [line for line in lines if line.startswith("v3 - v12") and "different" in line]
    assert " ".join(facts.split()) == "v3 - v12 different 0.120 0.400 12/20 0.31 12.3 [9.1, 15.2]"
    (line,) = [line for line in lines if line.startswith("v3 - v7") and "60.0" in line and "65.5" in line]
    assert line.split()[3:] == ["60.0", "63.0", "65.5", "64.0", "61.0"]
    assert "v3 is models:/vgsearch-grl/3, trial grl-ab12-0003" in text
    assert "200 queries; 95% intervals up to ±6." in text


def test_nine_points_fit_too():
    wide = render_diagnosis(
        [row(*range(100, 109), first="v13", second="v17")],
        criterion="val/recall_at_1",
        models=[],
        num_queries=200,
        num_places=90,
    )
    text = printed(wide, 80)
    assert "…" not in text
    assert "0.12" in text  # the second share


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "a barrier of 12.3 points [9.1, 15.2] at t = 0.50, more than luck; they began alike and parted"),
        ({"start": "different"}, "no common start: train with search.branch"),
        ({"start": "same backbone"}, "their linear layers were drawn apart: train with search.branch"),
        ({"start": "unknown"}, "their start was not recorded: train with search.branch"),
        ({"barrier_points": 1.1, "barrier_low": 0.3}, "mergeable at a price: a barrier of 1.1 points"),
        ({"barrier_points": 4.0, "barrier_low": -1.0}, "perhaps a barrier: 4.0 points [-1.0, 15.2]"),
        (
            {"barrier_points": 0.5, "barrier_low": -1.0, "barrier_high": 1.5},
            "mergeable: no barrier beyond luck, and none above 1.5",
        ),
        (
            {"barrier_points": 0.0, "barrier_low": -80.0, "barrier_high": 75.0},
            "200 queries cannot rule out one",
        ),
        ({"barrier_points": -3.0, "barrier_low": -5.0, "barrier_high": -1.0}, "mergeable: no barrier beyond"),
    ],
)
def test_verdicts(changes, says):
    found = verdict(row(120, 80, 60, 70, 118, **changes))
    assert says in found
    assert found.startswith("v3 - v7: ")
    assert found.endswith("At t = 0.50 30.0, the better end 60.0.")


def test_only_moved_statistics_are_worth_a_second_look():
    assert "--recalibrate-bn on" in verdict(BARRED)
    assert "--recalibrate-bn on" not in verdict(replace(BARRED, bn_moved=0))
    assert "--recalibrate-bn on" not in verdict(replace(BARRED, recalibrated=True))
    assert "--recalibrate-bn on" not in verdict(MERGEABLE)


def test_the_plot_is_a_picture_with_a_panel_for_each_pair():
    one, four = (
        Image.open(io.BytesIO(plot_lines([MERGEABLE] * count, criterion="val/recall_at_1")))
        for count in (1, 4)
    )
    assert one.format == "PNG"
    assert (four.width, four.height) == (3 * one.width, 2 * one.height)
    pixels = np.asarray(four.convert("RGB")).astype(int)
    blue = (pixels[..., 2] - pixels[..., 0] > 100) & (pixels[..., 2] > 130)
    height, width = four.height // 2, four.width // 3

    def has_line(line, column):
        """Whether there is blue in the middle of a panel."""
        rows = slice(line * height, (line + 1) * height)
        columns = slice(column * width + width // 4, column * width + 3 * width // 4)
        return bool(blue[rows, columns].any())

    shown = [has_line(line, column) for line in (0, 1) for column in (0, 1, 2)]
    assert shown == [True, True, True, True, False, False]


def test_a_plot_at_the_borders_of_recall():
    plot_lines([row(0, 200, 200, 0, 200)], criterion="val/recall_at_1")
