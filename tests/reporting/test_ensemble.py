"""The tables of an ensemble: what a reader must find in them."""

from __future__ import annotations

import numpy as np
from rich.console import Console, RenderableType

from vgsearch.reporting.ensemble import (
    EnsemblePart,
    EnsembleRound,
    render_parts,
    render_rounds,
)
from vgsearch.retrieval.bootstrap import paired_bootstrap


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
