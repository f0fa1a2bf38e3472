"""Exact nearest neighbours of descriptors, with an order that no machine, thread count or backend changes.

A float32 search (faiss, or torch on a GPU where faiss does not work) proposes a few candidates more than were
asked for; their distances are then taken again in float64 and sorted by (distance, database id). Where the
float32 error could have hidden a neighbour (duplicated images, a collapsed network), the query is solved in
float64 over the whole database.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from vgsearch.errors import DataError
from vgsearch.retrieval import blocked_search, faiss_search

_SPARE_CANDIDATES = 12
_BLOCK_BYTES = 32 * 2**20
_FLOAT32_ROUNDOFF = 2.0**-24


def nearest(
    database: NDArray[np.float32],
    queries: NDArray[np.float32],
    k: int,
    *,
    device: torch.device | None = None,
) -> NDArray[np.int64]:
    """Find the `k` nearest database rows of each query by Euclidean distance.

    On descriptors of norm 1 this is also the order by inner product and by cosine.

    Args:
        database: float32 (n, d), finite.
        queries: float32 (q, d), finite.
        k: neighbours a query, at least 1.
        device: where to search; None takes the GPU if there is one.

    Returns:
        int64 (q, k) row numbers, nearest first, equal distances by ascending row number. Where `k > n`, the
        columns from n on hold -1.

    Raises:
        DataError: a NaN or infinite value, or `d` differs.
        ValueError: `k < 1` or an array that is not two-dimensional.
    """
    if k < 1 or database.ndim != 2 or queries.ndim != 2:
        raise ValueError(
            f"k >= 1 and two 2-D arrays must be given, got k={k}, {database.shape}, {queries.shape}"
        )
    if database.shape[1] != queries.shape[1]:
        raise DataError(
            f"descriptors of one length must be compared, got {database.shape[1]} in the database and "
            f"{queries.shape[1]} in the queries; extract both with one checkpoint"
        )
    database = np.ascontiguousarray(database, dtype=np.float32)
    queries = np.ascontiguousarray(queries, dtype=np.float32)
    database_norms = _checked_norms("database", database)
    query_norms = _checked_norms("query", queries)
    found = np.full((len(queries), k), -1, dtype=np.int64)
    kept = min(k, len(database))
    if kept == 0 or len(queries) == 0:
        return found
    candidates = _candidates(database, queries, min(kept + _SPARE_CANDIDATES, len(database)), device)
    ids, distances = _sorted_exactly(database, queries, candidates)
    found[:, :kept] = ids[:, :kept]
    if candidates.shape[1] < len(database):
        # A row left out is farther than the farthest candidate, up to the float32 error of both. Rounding
        # errors of a sum of d products add up like a random walk: sqrt(d) steps of the largest partial sum.
        reach = query_norms + database_norms.max()
        error = math.sqrt(database.shape[1]) * _FLOAT32_ROUNDOFF * reach**2
        crowded = np.flatnonzero(distances[:, kept - 1] >= distances[:, -1] - 4 * error)
        if len(crowded):
            found[crowded, :kept] = _solved_in_float64(database, queries[crowded], kept)
    return found


def _checked_norms(role: str, descriptors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Norms float64 (n,); `DataError` naming the first row that is not finite."""
    norms = np.sqrt(np.einsum("nd,nd->n", descriptors, descriptors, dtype=np.float64))
    broken = np.flatnonzero(~np.isfinite(norms))
    if len(broken):
        raise DataError(
            f"descriptors must be finite, but {len(broken)} of {len(descriptors)} {role} rows hold NaN or "
            f"infinity, first row {broken[0]}; extract them again"
        )
    return np.asarray(norms)


def _candidates(
    database: NDArray[np.float32], queries: NDArray[np.float32], count: int, device: torch.device | None
) -> NDArray[np.int64]:
    """`count` rows a query, int64 (q, count) in any order, near-nearest to float32 error."""
    if device is None:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        return faiss_search.search_cpu(database, queries, count)
    if device.type == "cuda" and count <= faiss_search.GPU_MAX_COUNT and faiss_search.gpu_works():
        return faiss_search.search_gpu(database, queries, count, device)
    return blocked_search.search(database, queries, count, device)


def squared_distances(
    database: NDArray[np.float32], queries: NDArray[np.float32], ids: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Squared Euclidean distance from each query to its own rows of the database, in float64.

    Args:
        database: float32 (n, d).
        queries: float32 (q, d).
        ids: rows, int64 (q, k); a negative one is at infinity.

    Returns:
        float64 (q, k).
    """
    distances = np.empty(ids.shape, dtype=np.float64)
    step = max(1, _BLOCK_BYTES // (8 * ids.shape[1] * database.shape[1] + 1))
    for start in range(0, len(queries), step):
        block = slice(start, start + step)
        difference = database[ids[block]].astype(np.float64)
        difference -= queries[block, None, :]
        distances[block] = np.square(difference, out=difference).sum(axis=2)
    distances[ids < 0] = np.inf
    return distances


def _sorted_exactly(
    database: NDArray[np.float32], queries: NDArray[np.float32], candidates: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Candidates sorted by (float64 squared distance, id), with those distances; both (q, c)."""
    ids = np.sort(candidates, axis=1)
    distances = squared_distances(database, queries, ids)
    # The ids ascend, so a stable sort by distance leaves equal distances in id order.
    order = np.argsort(distances, axis=1, kind="stable")
    return np.take_along_axis(ids, order, axis=1), np.take_along_axis(distances, order, axis=1)


def _solved_in_float64(
    database: NDArray[np.float32], queries: NDArray[np.float32], k: int
) -> NDArray[np.int64]:
    """The `k` nearest rows over the whole database, int64 (q, k); `k <= n`.

    A matrix product may round equal rows differently at different places, so every row takes the distance of
    its first copy.
    """
    rows = database + np.float32(0.0)  # -0.0 becomes 0.0: copies are found by their bytes
    as_bytes = rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).ravel()
    _, first, copy_of = np.unique(as_bytes, return_index=True, return_inverse=True)
    # Distances do not change when all move together; near the origin their squares do not cancel.
    origin = torch.from_numpy(rows[0]).double()
    distinct = torch.from_numpy(rows[first]).double() - origin
    squared = distinct.square().sum(dim=1)
    found = np.empty((len(queries), k), dtype=np.int64)
    step = max(1, _BLOCK_BYTES // (8 * len(database)))
    for start in range(0, len(queries), step):
        block = torch.from_numpy(queries[start : start + step]).double() - origin
        distances = torch.addmm(squared, block, distinct.T, alpha=-2.0).numpy()[:, copy_of.ravel()]
        farthest = np.partition(distances, k - 1, axis=1)[:, k - 1]
        for row, limit in enumerate(farthest):
            near = np.flatnonzero(distances[row] <= limit)
            found[start + row] = near[np.argsort(distances[row, near], kind="stable")[:k]]
    return found
