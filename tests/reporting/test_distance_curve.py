from __future__ import annotations

import csv
import io

import pytest
from rich.console import Console

from vgsearch.reporting.distance_curve import distance_curve_csv, render_distance_curve
from vgsearch.retrieval.distance_curve import DistancePoint
from vgsearch.retrieval.recall import RECALL_NS, Recall


def curve(num_queries: int, hits: int, lost: int) -> list[DistancePoint]:
    return [
        DistancePoint(
            float(d), tuple(Recall(n, min(hits, d + n), num_queries) for n in RECALL_NS), max(0, lost - d)
        )
        for d in range(1, 101)
    ]


def shown(points: list[DistancePoint], width: int = 80) -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(render_distance_curve("test/day", points))
    return console.export_text()


def test_ten_distances_with_intervals_and_a_word_about_the_lost() -> None:
    text = shown(curve(315, 200, 60))
    lines = text.splitlines()
    assert lines[0] == "test/day: recall by the distance within which an image is right"
    assert [line.split()[0] for line in lines[2:12]] == [
        "1",
        "2",
        "5",
        "10",
        "15",
        "20",
        "25",
        "50",
        "75",
        "100",
    ]
    low, high = Recall(1, 26, 315).interval
    assert f"8.3 [{100 * low:.0f},{100 * high:.0f}]" in lines[8]
    assert lines[8].endswith(" 35")
    assert "count as failures" in text


@pytest.mark.parametrize("num_queries", [120, 7_993])
def test_the_table_fits_into_80_columns(num_queries: int) -> None:
    text = shown(curve(num_queries, num_queries, 0) + [])
    assert "…" not in text
    full = [DistancePoint(1.0, tuple(Recall(n, num_queries, num_queries) for n in RECALL_NS), num_queries)]
    assert "…" not in shown(full)
    assert max(map(len, shown(full).splitlines())) <= 80


def test_nothing_is_said_of_lost_queries_where_there_are_none() -> None:
    assert "failures" not in shown(curve(50, 50, 0))


def test_all_distances_as_csv() -> None:
    points = curve(315, 200, 60)
    rows = list(csv.DictReader(io.StringIO(distance_curve_csv(points).decode())))
    assert len(rows) == 100
    for row, point in zip(rows, points, strict=True):
        assert float(row["distance_m"]) == point.distance_m
        assert int(row["num_queries"]) == 315
        assert int(row["num_without_positive"]) == point.num_without_positive
        for recall in point.recalls:
            assert float(row[f"recall_at_{recall.n}"]) == pytest.approx(recall.percent, abs=1e-4)
            assert float(row[f"recall_at_{recall.n}_low"]) == pytest.approx(
                100 * recall.interval[0], abs=1e-4
            )
            assert float(row[f"recall_at_{recall.n}_high"]) == pytest.approx(
                100 * recall.interval[1], abs=1e-4
            )
