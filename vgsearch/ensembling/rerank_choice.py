"""Which re-ranking is best on val, and whether any is better than none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vgsearch.ensembling.criterion import Criterion
from vgsearch.rerank.reranking import Reranking
from vgsearch.retrieval.recall import RetrievalResult


@dataclass(frozen=True)
class ScoredReranking:
    """One network with one n, scored on the selection splits.

    Attributes:
        text: How the network is named where it is asked for.
        how: Network and n.
        results: By selection split, "" for the single unnamed one.
        seconds_per_query: What re-ranking took, measured when the pairs were scored.
    """

    text: str
    how: Reranking
    results: Mapping[str, RetrievalResult]
    seconds_per_query: float


def choose_reranking(
    plain: Mapping[str, RetrievalResult], scored: Sequence[ScoredReranking], criterion: Criterion
) -> ScoredReranking | None:
    """The one with the highest criterion; of equal ones the smallest n, then the first.

    Args:
        plain: Results without re-ranking.
        scored: What there is to choose from.
        criterion: Of selection splits.

    Returns:
        None where none is above the plain order.
    """
    if not scored:
        return None
    best = min(scored, key=lambda each: (-criterion.percent(each.results), each.how.n))
    return best if criterion.percent(best.results) > criterion.percent(plain) else None
