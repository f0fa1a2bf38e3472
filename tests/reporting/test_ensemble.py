"""The tables of an ensemble: what a reader must find in them."""

from __future__ import annotations

import numpy as np
import pytest
from rich.console import Console, RenderableType

from vgsearch.reporting.ensemble import (
    EnsemblePart,
    EnsembleRound,
    SplitGain,
    render_gains,
    render_parts,
    render_rounds,
)
from vgsearch.retrieval.bootstrap import paired_bootstrap
from vgsearch.retrieval.compare import compare_results
from vgsearch.retrieval.recall import RetrievalResult


def text_of(part: RenderableType) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(part)
    return capture.get()


def difference(gain: int) -> object:
    first = np.arange(100) < 50
    return paired_bootstrap(first, np.arange(100) < 50 + gain, np.arange(100))


def rounds(*percents: float, taken: int) -> list[EnsembleRound]:
    return [
        EnsembleRound(
            number=i + 1,
            bag=0,
            name=f"grl/{i}",
            percent=percent,
            difference=None if i == 0 else difference(1),  # type: ignore[arg-type]
            taken=i < taken,
        )
        for i, percent in enumerate(percents)
    ]


def test_the_trajectory_says_why_the_next_was_refused() -> None:
    text = text_of(
        render_rounds(rounds(50, 52, 51, 51.5, taken=2), criterion="val/recall_at_1", num_queries=100)
    )
    assert "grl/1" in text
    assert "+1.00 [" in text
    assert (
        "Refused from round 3 on: the best addition, grl/2, would take val/recall_at_1 from 52.00 to 51.00"
        in text
    )
    assert "none got above 51.50" in text


def test_an_equal_addition_is_refused_for_its_cost() -> None:
    text = text_of(render_rounds(rounds(50, 50, taken=1), criterion="val/recall_at_1", num_queries=100))
    assert "would leave val/recall_at_1 at 50.00" in text


def test_nothing_refused_says_nothing() -> None:
    text = text_of(render_rounds(rounds(50, 52, taken=2), criterion="val/recall_at_1", num_queries=100))
    assert "Refused" not in text


def part(query_ms: float | None) -> EnsemblePart:
    return EnsemblePart("grl/1", "models:/vgsearch-grl/1", "resnet + gem + 512", 0.5, 60.0, 2048, query_ms)


def test_a_query_costs_the_sum_of_the_members() -> None:
    text = text_of(render_parts([part(1.5), part(2.25)], fusion="similarity", descriptor_bytes=4096))
    assert "4096 bytes a descriptor, 3.8 ms a query" in text
    text = text_of(render_parts([part(1.5), part(None)], fusion="mean", descriptor_bytes=2048))
    assert "1 members were not measured" in text


@pytest.mark.parametrize(("gain", "apart"), [(0, False), (2, False), (30, True)])
def test_what_cannot_be_told_apart_is_said(gain: int, apart: bool) -> None:
    positions = np.column_stack([np.arange(100) * 100.0, np.zeros(100)])

    def result(hits: int) -> RetrievalResult:
        ranks = np.where(np.arange(100) < hits, 0, -1)
        return RetrievalResult("val", ranks, 0, "stamp", query_utm_m=positions)

    gains = [SplitGain("val", [compare_results(result(50), result(50 + gain), 1)])]
    text = text_of(render_gains(gains, best_name="grl/1"))
    assert ("Cannot be told apart by val R@1" in text) is not apart
