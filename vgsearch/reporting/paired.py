"""The best two trials on the very same queries: a sharper test than comparing their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vgsearch.errors import DataError
from vgsearch.reporting.verdicts import decisive_n, decisive_split
from vgsearch.retrieval.compare import PairedComparison, compare_results, require_same_stamp
from vgsearch.retrieval.recall import RetrievalResult

Results = Mapping[str, RetrievalResult]
"""Per-query results by selection split."""


def compare_pair(lower: Results, higher: Results, objective: str) -> PairedComparison | None:
    """Compare two trials' per-query results at the recall that ranks them, `higher` minus `lower`.

    The split is the one that the objective names. Where it names the mean of several, their queries are
    pooled, as in the leaderboard: splits count by their number of queries, and the queries of one place, by
    day and by night, are resampled together.

    Returns:
        None where the results are not both at hand, or not of the same queries and settings.
    """
    split = decisive_split(objective)
    splits = sorted(set(lower) | set(higher)) if split == "mean" else [split]
    if not splits or any(name not in lower or name not in higher for name in splits):
        return None
    try:
        for name in splits:
            require_same_stamp(lower[name], higher[name])
        first, second = (_pooled([results[name] for name in splits]) for results in (lower, higher))
        return compare_results(first, second, decisive_n(objective))
    except DataError:  # other queries, or positions that were not stored: the intervals must do
        return None


def _pooled(results: Sequence[RetrievalResult]) -> RetrievalResult:
    """The queries of several splits as one result."""
    if len(results) == 1:
        return results[0]
    positions = [result.query_utm_m for result in results if result.query_utm_m is not None]
    return RetrievalResult(
        set_name="+".join(result.set_name for result in results),
        first_hit_rank=np.concatenate([result.first_hit_rank for result in results]),
        num_without_positive=sum(result.num_without_positive for result in results),
        stamp="+".join(result.stamp for result in results),
        depth=min(result.depth for result in results),
        query_utm_m=np.concatenate(positions) if len(positions) == len(results) else None,
    )
