"""The report as a file: every recall of the paper is in it, its interval as another library gives it."""

from __future__ import annotations

import csv
import io

import pytest
from scipy.stats import binomtest

from tests.reporting.paper.recorded import Recorded
from vgsearch.reporting.paper.filled import FilledTable, fill_table
from vgsearch.reporting.paper.our_runs import read_our_runs
from vgsearch.reporting.paper.printed import printed_tables
from vgsearch.reporting.paper.text_files import to_csv, to_markdown
from vgsearch.reporting.paper.unplaced import UnplacedScore, unplaced_scores


@pytest.fixture
def content(store: Recorded) -> tuple[list[FilledTable], list[UnplacedScore]]:
    runs = read_our_runs(store.registry).runs
    tables = [fill_table(table, runs) for table in printed_tables()]
    return tables, unplaced_scores(runs, tables)


def test_csv_has_a_line_for_each_recall(content: tuple[list[FilledTable], list[UnplacedScore]]) -> None:
    lines = list(csv.DictReader(io.StringIO(to_csv(*content))))
    num_recalls = sum(len(row.printed.percents) for table in content[0] for row in table.rows)
    assert len(lines) == num_recalls + 3 * 4
    for line in lines[:num_recalls]:
        hits = round(float(line["paper"]) * int(line["paper_queries"]) / 100)
        wilson = binomtest(hits, int(line["paper_queries"])).proportion_ci(method="wilson")
        assert float(line["paper_low"]) == pytest.approx(100 * wilson.low, abs=0.051)
        assert float(line["paper_high"]) == pytest.approx(100 * wilson.high, abs=0.051)
    ours = next(line for line in lines if line["table"] == "1" and line["row"] == "3" and line["n"] == "5")
    assert (ours["ours"], ours["ours_queries"], ours["state"], ours["matching"]) == (
        "64.0",
        "1000",
        "ours",
        "2",
    )
    assert ours["model"] == "models:/vgsearch-losses/1"
    assert {line["is_target"] for line in lines if line["table"] in ("3", "4", "5", "18")} == {"no"}
    assert lines[-1]["table"] == ""
    assert lines[-1]["labels"] == "ensemble (mean); native"


def test_markdown_tables_are_whole(content: tuple[list[FilledTable], list[UnplacedScore]]) -> None:
    text = to_markdown(*content, ["a remark"])
    assert text.endswith("\n\na remark\n")
    sections = text.split("\n## ")[1:]
    assert len(sections) == 19
    for section in sections:
        widths = {line.count("|") for line in section.splitlines() if line.startswith("|")}
        assert len(widths) == 1, section[:40]
    assert "| ours (3) |  |  | 60.0 [56.9, 63.0] | 64.0 [61.0, 66.9] |" in sections[0]
    assert "| CosFace | 30.0 | 0.40 | 47.8 [44.7, 50.9] |" in sections[0]
    # Identifiers keep their underscores inside code, and elsewhere they are escaped.
    assert "`vgsearch tune search_spaces/losses.yaml" in sections[0]
    assert "val/recall\\_at\\_1 61.0" in sections[0]
