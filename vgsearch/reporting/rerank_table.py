"""Every re-ranking that was scored on val, against the plain order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from vgsearch.reporting import wording
from vgsearch.reporting.fitting import Fitting
from vgsearch.reporting.table import new_table
from vgsearch.retrieval.bootstrap import FEWEST_PLACES
from vgsearch.retrieval.compare import PairedComparison


@dataclass(frozen=True)
class RerankRow:
    """One network with one n.

    Attributes:
        name: Of the network.
        encoder: Its encoder.
        pooling: What that was trained with.
        n: How many candidates it re-ranks.
        percent: The criterion.
        compared: By split, from the plain order to this one.
        ms_per_query: What re-ranking takes.
        is_chosen: Whether it is the best.
    """

    name: str
    encoder: str
    pooling: str
    n: int
    percent: float
    compared: Mapping[str, PairedComparison]
    ms_per_query: float
    is_chosen: bool


def render_rerankings(
    rows: Sequence[RerankRow], *, plain_percent: float, criterion: str, num_queries: Mapping[str, int]
) -> RenderableType:
    """Lay them out, the best first.

    Args:
        rows: At least one.
        plain_percent: The criterion without re-ranking.
        criterion: In words.
        num_queries: By split.
    """
    ordered = sorted(rows, key=lambda row: (-row.percent, row.n, row.name))
    splits = list(num_queries)
    queries = ", ".join(f"{split} {count} queries" for split, count in num_queries.items())
    lines = [
        f"{criterion}; {queries}; without re-ranking {plain_percent:.2f}. Differences to that, on the same "
        "queries, with 95% intervals; ms: for one query, all its pairs"
    ]
    compared = [each for row in rows for each in row.compared.values()]
    if any(not each.bootstrap.is_reliable for each in compared):
        lines.append(f"* fewer than {FEWEST_PLACES} places changed, too few for the interval to be believed")
    return Group(
        Fitting(_table(ordered, splits, is_wide=True), _table(ordered, splits, is_wide=False)),
        *(Text(line) for line in lines),
    )


def _table(rows: Sequence[RerankRow], splits: Sequence[str], *, is_wide: bool) -> Table:
    headers = ["network", *(["encoder", "pooling"] if is_wide else []), "top", "value"]
    recalls = [text for split in splits for text in (f"{split} recall", "difference")]
    table = new_table(*headers, *recalls, "ms", "", left=("network", "encoder", "pooling", ""))
    for row in rows:
        named = [row.name, *([row.encoder, row.pooling] if is_wide else [])]
        cells = [text for split in splits for text in _cells(row.compared[split])]
        table.add_row(
            *(Text(text) for text in named),
            str(row.n),
            f"{row.percent:.2f}",
            *cells,
            f"{row.ms_per_query:.0f}",
            "best" if row.is_chosen else "",
            style="bold" if row.is_chosen else None,
        )
    return table


def _cells(compared: PairedComparison) -> tuple[str, str]:
    return str(compared.second), wording.points(compared.bootstrap)
