"""Recall at many thresholds at once: how near must a prediction be, and what does each metre cost?

One search answers all thresholds: of each query the nearest, in metres, of its first N predictions says from
which distance on it is right at N.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vgsearch.data.index import ImageIndex
from vgsearch.data.retrieval_set import RetrievalSet, least_squared_distance
from vgsearch.retrieval.recall import RECALL_NS, Recall

DISTANCES_M = tuple(range(1, 101))


@dataclass(frozen=True)
class DistancePoint:
    """Recalls where positives lie within one distance.

    Attributes:
        distance_m: database images at most this far from a query are right, border included.
        recalls: at each N.
        num_without_positive: queries that have no database image so near; they count as failures.
    """

    distance_m: float
    recalls: tuple[Recall, ...]
    num_without_positive: int


def distance_curve(
    neighbour_ids: NDArray[np.int64],
    retrieval_set: RetrievalSet,
    distances_m: Sequence[float] = DISTANCES_M,
    ns: Sequence[int] = RECALL_NS,
) -> list[DistancePoint]:
    """Recalls at each distance, from the predictions of one search.

    Args:
        neighbour_ids: int64 (q, k), rows of the database, nearest first; -1 is no prediction.
        retrieval_set: where queries and database lie; its own threshold does not matter.
        distances_m: thresholds, each above 0.
        ns: numbers of predictions, each 1..k.

    Returns:
        A point for each distance.

    Raises:
        ValueError: `neighbour_ids` has no row for every query, or fewer columns than an N.
    """
    num_queries = len(retrieval_set.queries)
    if neighbour_ids.ndim != 2 or len(neighbour_ids) != num_queries or neighbour_ids.shape[1] < max(ns):
        raise ValueError(
            f"predictions of shape ({num_queries}, {max(ns)} or more) are needed, got {neighbour_ids.shape}"
        )
    limits = np.square(np.asarray(distances_m, dtype=np.float64))
    squared = _squared_metres(neighbour_ids, retrieval_set.queries, retrieval_set.database)
    best = np.minimum.accumulate(squared, axis=1)
    hits = np.column_stack([_num_within(best[:, n - 1], limits) for n in ns])
    least = least_squared_distance(retrieval_set.database, retrieval_set.queries)
    lost = num_queries - _num_within(least, limits)
    return [
        DistancePoint(
            distance_m=float(distance_m),
            recalls=tuple(Recall(n, int(count), num_queries) for n, count in zip(ns, row, strict=True)),
            num_without_positive=int(without),
        )
        for distance_m, row, without in zip(distances_m, hits, lost, strict=True)
    ]


def _squared_metres(ids: NDArray[np.int64], queries: ImageIndex, database: ImageIndex) -> NDArray[np.float64]:
    """From each query to each of its predictions, float64 (q, k); infinity where there is none."""
    east = queries.utm_east[:, None] - database.utm_east[ids]
    north = queries.utm_north[:, None] - database.utm_north[ids]
    return np.asarray(np.where(ids < 0, np.inf, east * east + north * north))


def _num_within(squared: NDArray[np.float64], limits: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many are at most each limit, int64 like `limits`."""
    return np.searchsorted(np.sort(squared), limits, side="right")
