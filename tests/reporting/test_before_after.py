"""Before and after in a table: what can be told apart, and what cannot."""

from __future__ import annotations

import numpy as np
import pytest
from rich.console import Console

from vgsearch.reporting.before_after import render_before_after
from vgsearch.retrieval.compare import compare_results
from vgsearch.retrieval.recall import RetrievalResult


def printed(renderable, width=200):
    console = Console(width=width, record=True, force_terminal=False)
    console.print(renderable)
    return console.export_text()


def result(hits):
    utm_m = np.column_stack([np.arange(len(hits)) * 100.0, np.zeros(len(hits))])
    return RetrievalResult("val", np.where(hits, 0, -1).astype(np.int32), 0, "stamp", query_utm_m=utm_m)


def test_before_and_after_name_what_cannot_be_told_apart():
    rng = np.random.default_rng(0)
    before = rng.random(200) < 0.5
    clearly, hardly = before.copy(), before.copy()
    clearly[:80] = True
    hardly[0] = not hardly[0]
    text = printed(
        render_before_after(
            {
                "day": [compare_results(result(before), result(clearly), 1)],
                "night": [compare_results(result(before), result(hardly), 1)],
            },
            best="models:/vgsearch-broth/1",
            role="best ingredient",
            made="soup",
        )
    )
    assert "models:/vgsearch-broth/1, the best ingredient" in text
    (sentence,) = [line for line in text.splitlines() if "Cannot be told apart" in line]
    assert "night R@1" in sentence
    assert "day" not in sentence


@pytest.mark.parametrize(("gain", "apart"), [(0, False), (2, False), (30, True)])
def test_what_cannot_be_told_apart_is_said(gain: int, apart: bool) -> None:
    positions = np.column_stack([np.arange(100) * 100.0, np.zeros(100)])

    def result(hits: int) -> RetrievalResult:
        ranks = np.where(np.arange(100) < hits, 0, -1)
        return RetrievalResult("val", ranks, 0, "stamp", query_utm_m=positions)

    gains = {"val": [compare_results(result(50), result(50 + gain), 1)]}
    text = printed(render_before_after(gains, best="grl/1", role="best member", made="ensemble"))
    assert ("Cannot be told apart by val R@1" in text) is not apart


@pytest.mark.parametrize("width", [80, 200])
def test_no_number_is_cut(width):
    positions = np.column_stack([np.arange(200) * 100.0, np.zeros(200)])
    hits = np.random.default_rng(0).random((2, 200)) < 0.5
    first, second = (
        RetrievalResult("val", np.where(row, 0, -1), 0, "stamp", query_utm_m=positions) for row in hits
    )
    compared = [compare_results(first, second, n) for n in (1, 20)]
    shown = render_before_after({"night": compared}, best="grl/1", role="best member", made="ensemble")
    text = printed(shown, width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    for each in compared:
        line = next(line for line in text.splitlines() if f"R@{each.first.n} " in line)
        assert str(each.first) in line
        assert str(each.second) in line
