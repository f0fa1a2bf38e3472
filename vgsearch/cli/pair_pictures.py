"""`vgsearch evaluate --rerank --pictures`: pairs whose order changed, for a person to look at."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from vgsearch.errors import ConfigError

if TYPE_CHECKING:
    from vgsearch.cli.named_model import NamedModel
    from vgsearch.cli.rerank import Reranker
    from vgsearch.data.index import ImageIndex
    from vgsearch.data.retrieval_set import RetrievalSet
    from vgsearch.reporting.pair_sheet import PairRow
    from vgsearch.rerank.telling_pairs import TellingPair
    from vgsearch.retrieval.recall import RetrievalResult

NUM_PAIRS = 8

Pictures = Annotated[
    Path | None,
    typer.Option(
        "--pictures",
        metavar="FOLDER",
        help=f"With --rerank: a sheet of {NUM_PAIRS} pairs for each split and n, with what the network finds "
        "that both photos show, drawn on each and warped; as many queries mended as spoiled.",
    ),
]


def require_reranker(pictures: Path | None, rerank: str | None) -> None:
    """Refuse pictures without a network that draws quadrilaterals.

    Raises:
        ConfigError: `--pictures` stands alone.
    """
    if pictures is not None and rerank is None:
        raise ConfigError(
            ["--pictures goes with --rerank geowarp:CHECKPOINT; add it or leave --pictures out"]
        )


def write_pictures(
    folder: Path,
    reranker: Reranker,
    model: NamedModel,
    retrieval_set: RetrievalSet,
    plain: RetrievalResult,
    reranked: Mapping[int, RetrievalResult],
) -> list[str]:
    """Write a sheet for each n; see `_pair_sheet`.

    Returns:
        A line on each.

    Raises:
        ImageError: A photo cannot be read.
        StorageError: The folder cannot be written.
    """
    from vgsearch.cli.files import write_files

    lines = []
    for n, result in reranked.items():
        name = f"{retrieval_set.name.replace('/', '_')}_geowarp_top{n}.jpg"
        sheet, shown = _pair_sheet(reranker, model, retrieval_set, plain, result, n)
        write_files(folder, {name: sheet})
        lines.append(f"  {folder / name}: {shown}")
    return lines


def _pair_sheet(
    reranker: Reranker,
    model: NamedModel,
    retrieval_set: RetrievalSet,
    plain: RetrievalResult,
    reranked: RetrievalResult,
    n: int,
) -> tuple[bytes, str]:
    """Draw the pairs that tell most of one re-ranking.

    Args:
        reranker: What made the new order.
        model: Says where to compute.
        retrieval_set: Where the photos are.
        plain: The detailed result that was re-ranked.
        reranked: Its first `n` in the new order, detailed.
        n: Number of candidates.

    Returns:
        A JPEG file's bytes, and in one line what it shows.

    Raises:
        ImageError: A photo cannot be read.
    """
    from vgsearch.reporting.pair_sheet import draw_pair_sheet
    from vgsearch.rerank.telling_pairs import find_changes, telling_pairs

    before, after = plain.neighbour_ids, reranked.neighbour_ids
    assert before is not None  # a detailed result has them
    assert after is not None
    changes = find_changes(before, after, plain.hits_at(1), reranked.hits_at(1))
    pairs = telling_pairs(before, after, changes, NUM_PAIRS)
    shown: list[str] = list({pair.query: pair.change for pair in pairs}.values())
    kinds = (
        ("mended", changes.mended),
        ("spoiled", changes.spoiled),
        ("as right as before", changes.as_right),
    )
    line = f"{retrieval_set.name}, top {n} re-ranked by {reranker.named.name}: "
    if any(len(queries) for _, queries in kinds):
        counts = ", ".join(f"{len(queries)} {kind} ({shown.count(kind)} shown)" for kind, queries in kinds)
        line += (
            f"first predictions of {plain.num_queries} queries, {counts}; each shown with its first "
            "candidate before and after"
        )
    else:
        line += (
            f"no first prediction of {plain.num_queries} queries changed; the first {len(pairs)} with theirs"
        )
    numbers = {query: number for number, query in enumerate(dict.fromkeys(each.query for each in pairs), 1)}
    rows = [_row(pair, numbers[pair.query], reranker, model, retrieval_set) for pair in pairs]
    return draw_pair_sheet(line, rows), line


def _row(
    pair: TellingPair, number: int, reranker: Reranker, model: NamedModel, retrieval_set: RetrievalSet
) -> PairRow:
    from vgsearch.reporting.pair_sheet import PairRow
    from vgsearch.rerank.common_view import common_view

    queries, database = retrieval_set.queries, retrieval_set.database
    view = common_view(
        reranker.network,
        queries.read(pair.query),
        database.read(pair.candidate),
        device=model.device,
    )
    ids = np.full((len(queries), 1), -1)
    ids[pair.query] = pair.candidate
    label = f"query {number}"
    if pair.change != "unchanged":
        label += f" ({pair.change}), first {'before' if pair.rank_before == 1 else 'after'}"
    return PairRow(
        view=view,
        is_right=bool(retrieval_set.is_positive(ids)[pair.query, 0]),
        label=label,
        facts=(
            f"{_apart(queries, pair.query, database, pair.candidate)}, "
            f"rank {pair.rank_before} -> {pair.rank_after}, similarity {view.similarity:.3f}"
        ),
        names=(queries.absolute(pair.query).name, database.absolute(pair.candidate).name),
    )


def _apart(queries: ImageIndex, query: int, database: ImageIndex, row: int) -> str:
    """How far apart two cameras stand, and by how much their headings differ where both are known."""
    distance_m = np.hypot(
        queries.utm_east[query] - database.utm_east[row], queries.utm_north[query] - database.utm_north[row]
    )
    turn_deg = abs((queries.heading_deg[query] - database.heading_deg[row] + 180) % 360 - 180)
    turned = f", turned by {turn_deg:.0f} degrees" if np.isfinite(turn_deg) else ""
    return f"{distance_m:.1f} m away{turned}"
