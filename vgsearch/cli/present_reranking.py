"""What `vgsearch rerank` says of what it scored and chose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import RenderableType

from vgsearch.config.rerank_search import RerankSearch
from vgsearch.ensembling.criterion import Criterion
from vgsearch.ensembling.rerank_choice import ScoredReranking
from vgsearch.reporting.rerank_table import RerankRow, render_rerankings
from vgsearch.retrieval.compare import PairedComparison, asked_alike, compare_splits
from vgsearch.retrieval.recall import RetrievalResult

Results = Mapping[str, RetrievalResult]


def choice_table(
    plain: Results, scored: Sequence[ScoredReranking], chosen: ScoredReranking | None, criterion: Criterion
) -> RenderableType:
    """Everything that was scored, the best first, against the plain order."""
    rows = []
    for each in scored:
        network = each.how.network
        assert network is not None  # it was loaded by name
        rows.append(
            RerankRow(
                name=each.text,
                encoder=network.sort.encoder,
                pooling=network.sort.pooling,
                n=each.how.n,
                percent=criterion.percent(each.results),
                compared=_compared(plain, each, criterion),
                ms_per_query=1e3 * each.seconds_per_query,
                is_chosen=each is chosen,
            )
        )
    return render_rerankings(
        rows,
        plain_percent=criterion.percent(plain),
        criterion=str(criterion),
        num_queries={_shown(name): result.num_queries for name, result in plain.items()},
    )


def choice_lines(
    chosen: ScoredReranking | None,
    plain: Results,
    criterion: Criterion,
    num_scored: int,
    file: RerankSearch,
    tests: Sequence[str],
) -> list[str]:
    """What was chosen, what it is worth, and how to go on.

    Args:
        chosen: None where nothing is above the plain order.
        plain: Results without re-ranking.
        criterion: What it was chosen by.
        num_scored: How many there were to choose from.
        file: What was asked.
        tests: Names of the model's tests.
    """
    if chosen is None:
        return [f"none of {num_scored} is above the plain order by {criterion}: do not re-rank"]
    compared = _compared(plain, chosen, criterion)
    shown = [split for split, each in compared.items() if each.better == "second"]
    verdict = (
        f"better than the plain order on {', '.join(shown)}"
        if shown
        else "cannot be told apart from the plain order"
    )
    example = f"test/{tests[0]}" if tests else "SPLIT"
    after, before = (criterion.percent(each) for each in (chosen.results, plain))
    return [
        f"best on val: geowarp:{chosen.text}, top {chosen.how.n}, {criterion} {after:.2f} against "
        f"{before:.2f}; {verdict}",
        f"the best of {num_scored} flatters itself: let a test judge it, once",
        f"score it there: vgsearch evaluate {file.model} --on {example} --rerank geowarp:{chosen.text} "
        f"--top {chosen.how.n}",
    ]


def _compared(plain: Results, scored: ScoredReranking, criterion: Criterion) -> dict[str, PairedComparison]:
    """At the criterion's N, by split; the order is the only thing that the two stamps tell apart."""
    alike = {name: asked_alike(result, plain[name]) for name, result in scored.results.items()}
    compared = compare_splits(plain, alike, [criterion.n])
    return {_shown(name): at_each[0] for name, at_each in compared.items()}


def _shown(split: str) -> str:
    return split or "val"
