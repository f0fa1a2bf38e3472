"""One list of predictions of a query whose five crops were searched one by one.

The rules and the numbers are those of Berton et al., Deep Visual Geo-localization Benchmark (CVPR 2022): each
crop keeps as many neighbours as are judged, then all are merged by squared distance, each image once at its
smallest.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

VOTING_RANKS = (1, 5, 10)
MAJORITY_WEIGHT = 0.01
"""Squared distance that a full vote takes off: the benchmark's default of `--majority_weight`."""

_NOBODY = np.iinfo(np.int64).max
_BLOCK_QUERIES = 1024


def merge_crops(ids: NDArray[np.int64], squared: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    """Merge the neighbours of each query's crops by distance, each image once.

    With the `k` nearest of every crop these are the `k` images with the smallest distance to any crop.

    Args:
        ids: database rows, int64 (q, crops, m); -1 fills up what has fewer.
        squared: their distances squared, or those less votes, float64 (q, crops, m).
        k: predictions a query, at least 1.

    Returns:
        int64 (q, k), nearest first, equal distances by ascending row; -1 where there are no more.
    """
    flat_ids = np.where(ids < 0, _NOBODY, ids).reshape(len(ids), -1)
    flat = np.where(ids < 0, np.inf, squared).reshape(len(ids), -1)
    by_image = np.lexsort((flat, flat_ids), axis=1)
    flat_ids = np.take_along_axis(flat_ids, by_image, axis=1)
    flat = np.take_along_axis(flat, by_image, axis=1)
    again = flat_ids[:, 1:] == flat_ids[:, :-1]
    flat_ids[:, 1:][again] = _NOBODY
    flat[:, 1:][again] = np.inf
    order = np.lexsort((flat_ids, flat), axis=1)[:, :k]
    merged = np.take_along_axis(flat_ids, order, axis=1)
    found = np.full((len(ids), k), -1, dtype=np.int64)
    found[:, : merged.shape[1]] = np.where(merged == _NOBODY, -1, merged)
    return found


def with_votes(ids: NDArray[np.int64], squared: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bring images nearer that several crops agree on.

    For each n of 1, 5 and 10: an image that is among the n nearest of c > 1 crops comes nearer by
    `MAJORITY_WEIGHT` * c / n in the lists of those crops. What is farther down keeps its distance.

    Args:
        ids: database rows, int64 (q, crops, m), nearest first; -1 fills up what has fewer.
        squared: their distances squared, float64 (q, crops, m).

    Returns:
        float64 (q, crops, m): the distances less the votes; they may be negative.
    """
    voted = squared.copy()
    for start in range(0, len(ids), _BLOCK_QUERIES):
        block = slice(start, start + _BLOCK_QUERIES)
        for n in VOTING_RANKS:
            first = ids[block, :, :n]
            ballots = first.reshape(len(first), -1)
            counts = (ballots[:, :, None] == ballots[:, None, :]).sum(axis=2).reshape(first.shape)
            voted[block, :, :n] -= np.where(counts > 1, MAJORITY_WEIGHT * counts / n, 0.0)
    return voted
