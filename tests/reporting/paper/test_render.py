"""What a terminal shows: nothing is cut at 80 columns, and nothing of ours is shown without its marks."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.reporting.paper.recorded import Recorded, paper_config, result
from vgsearch.reporting.paper import notes
from vgsearch.reporting.paper.filled import FilledTable, fill_table
from vgsearch.reporting.paper.notes import annotate
from vgsearch.reporting.paper.our_runs import read_our_runs
from vgsearch.reporting.paper.printed import TABLE_NUMBERS, printed_tables
from vgsearch.reporting.paper.render import PaperTable
from vgsearch.reporting.paper.unplaced import render_unplaced, unplaced_scores

Printed = Callable[..., list[str]]


def filled(number: int, recorded: Recorded | None = None) -> FilledTable:
    (table,) = printed_tables([number])
    return fill_table(table, read_our_runs(recorded.registry).runs if recorded else ())


@pytest.mark.parametrize("width", [80, 120, 200])
@pytest.mark.parametrize("number", TABLE_NUMBERS)
def test_every_recall_and_label_is_there_at_any_width(printed: Printed, number: int, width: int) -> None:
    table = filled(number)
    lines = printed(PaperTable(table), width)
    text = "\n".join(lines)
    assert max(map(len, lines)) <= width
    assert "…" not in text
    words = set(text.replace("±", " ").replace(",", " ").split())
    for row in table.rows:
        assert {f"{percent:.1f}" for percent in row.printed.percents.values()} <= words
        for label in row.printed.labels.values():
            assert set(label.replace(",", " ").split()) <= words


def test_the_papers_layout_stands_where_it_fits(printed: Printed) -> None:
    wide, narrow = (printed(PaperTable(filled(1)), width) for width in (120, 80))
    assert sum("CosPlace CosFace" in line for line in wide) == 1
    assert sum("CosPlace CosFace" in line for line in narrow) == 3
    assert "52.2±3.1" in "\n".join(wide)
    assert "52.2 [49.1, 55.3]" in "\n".join(narrow)


def test_ours_stands_below_the_papers_row_with_its_interval(printed: Printed, store: Recorded) -> None:
    lines = printed(PaperTable(filled(1, store)), 120)
    at = next(i for i, line in enumerate(lines) if "47.8±3.1" in line)
    assert lines[at + 1].split() == ["ours", "(3)", "60.0±3.0", "64.0±3.0", "68.9±5.1", "84.4±4.0", "-", "-"]
    assert lines[at - 1].split() == ["not", "run", "(2)"]
    text = " ".join(lines)
    assert (
        "Ours is above the paper's, neither within the other's interval: CosFace, 30.0, 0.40, SF-XS R@1"
        in text
    )
    assert "60.0 [56.9, 63.0] against 47.8 [44.7, 50.9]." in text
    assert "3 recalls of ours cannot be told from the paper's" in text


def test_our_extraction_times_stand_below_the_papers(printed: Printed, recorded: Recorded) -> None:
    recorded.search("a")
    scores = [
        result("sf_xs", 522, seconds=18.7),
        result("tokyo_xs", 219, seconds=5.96),
        result("tokyo_night", 53),
    ]
    recorded.trial("a", "t0", paper_config(precision="fp32"), 61.0, *scores)
    lines = printed(PaperTable(filled(7, recorded)), 120)
    at = next(i for i, line in enumerate(lines) if line.split()[:2] == ["-", "1"])
    assert [lines[at].split()[i] for i in (2, 5, 8)] == ["19", "6", "2"]
    assert [lines[at + 1].split()[i] for i in (2, 5, 8)] == ["19", "6.0", "-"]


def test_notes_say_who_ours_is_and_what_would_do_the_rest(store: Recorded) -> None:
    found = {note.mark: note for note in annotate(filled(1, store)).notes}
    assert found["3"].text == (
        "ours: models:/vgsearch-losses/1 (champion), the best on val of 2 that match; val/recall_at_1 61.0; "
        "other than the paper: lr 0.0001 (paper 1e-05); what would score the rest:"
    )
    assert found["3"].commands == ("vgsearch evaluate models:/vgsearch-losses/1 --on test/tokyo_night",)
    assert found["1"].text == "not run:"
    assert found["1"].commands[0].startswith("vgsearch tune search_spaces/losses.yaml --set name=paper_")


def test_what_a_test_chose_is_marked(printed: Printed, store: Recorded) -> None:
    table = filled(16, store)
    assert any("ours* (2)" in line for line in printed(PaperTable(table), 80))
    found = {note.mark: note.text for note in annotate(table).notes}
    assert (
        "* selected on test: a test had a say in choosing it, so its test recalls are no result" in found["2"]
    )
    assert "chosen by recalls of the test sets" in found["b"]
    assert not any("Ours is" in line for line in printed(PaperTable(table), 80))


def test_what_every_row_has_is_said_once(printed: Printed) -> None:
    lines = printed(PaperTable(filled(3)), 80)
    assert "every row: Backbone Efficientnet V2 Small, GRL 0.3 (a)" in lines
    texts = {note.mark: note.text for note in annotate(filled(3)).notes}
    assert texts["a"].startswith("no target: the paper's published code never reverses the gradient")
    assert texts["1"] == "not run:"


def test_an_unknown_count_is_said(printed: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    from vgsearch.reporting.paper import printed as data

    counts = {"sf_xs": 1000, "tokyo_xs": 315}
    monkeypatch.setattr(data, "query_counts", lambda: counts)
    monkeypatch.setattr(notes, "query_counts", lambda: counts)
    lines = printed(PaperTable(filled(1)), 120)
    assert (
        "queries: SF-XS 1000, Tokyo XS 315; no interval for Tokyo Night: its number of queries is not known"
        in lines
    )
    row = next(line.split() for line in lines if line.startswith("ArcFace"))
    assert row[-2:] == ["52.4", "66.7"]


def test_models_without_a_row_are_shown_too(printed: Printed, store: Recorded) -> None:
    tables = [filled(number, store) for number in TABLE_NUMBERS]
    scores = unplaced_scores(read_our_runs(store.registry).runs, tables)
    assert {each.model for each in scores} == {"models:/vgsearch-losses/4"}
    narrow, wide = (printed(render_unplaced(scores), width) for width in (80, 160))
    assert "models:/vgsearch-losses/4, ensemble (mean)" in narrow
    assert any(line.split() == ["Tokyo", "XS", "native", "315", *["100.0±0.6"] * 3] for line in narrow)
    assert any(line.startswith("models:/vgsearch-losses/4  ensemble (mean)  SF-XS") for line in wide)
    assert "…" not in "".join(narrow + wide)
