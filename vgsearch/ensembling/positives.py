"""Who is a positive of whom, written out: for each query the rows of its positives in the database."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from vgsearch.data.retrieval_set import RetrievalSet


@dataclass(frozen=True, eq=False)
class Positives:
    """Positives of q queries in a database of n, query after query.

    Attributes:
        starts: int64 (q + 1,); the positives of query i are `ids[starts[i]:starts[i + 1]]`.
        ids: int64 (p,), rows of the database, ascending within a query.
        num_database: n.
    """

    starts: NDArray[np.int64]
    ids: NDArray[np.int64]
    num_database: int

    @property
    def num_queries(self) -> int:
        """Queries, those without a positive included."""
        return len(self.starts) - 1

    @property
    def answerable(self) -> NDArray[np.int64]:
        """Rows of the queries that have a positive, ascending."""
        return np.flatnonzero(np.diff(self.starts))

    def of(self, rows: NDArray[np.int64]) -> Positives:
        """The same for some queries, in the order of `rows`."""
        counts = np.diff(self.starts)[rows]
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        within = np.arange(starts[-1]) - np.repeat(starts[:-1], counts)
        return Positives(starts, self.ids[np.repeat(self.starts[rows], counts) + within], self.num_database)

    def block(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Queries `start` to `stop`: where each one's positives begin, and the positives' flat positions.

        Returns:
            int64 (b,) offsets into the second, and int64 (p',) positions in a row-major (b, n) matrix.
        """
        bounds = self.starts[start : stop + 1]
        rows = np.repeat(np.arange(stop - start), np.diff(bounds))
        return bounds[:-1] - bounds[0], rows * self.num_database + self.ids[bounds[0] : bounds[-1]]


def find_positives(retrieval_set: RetrievalSet) -> Positives:
    """List all positives of a retrieval set, judged as `RetrievalSet.is_positive` judges."""
    database = _points(retrieval_set.database.utm_east, retrieval_set.database.utm_north)
    queries = _points(retrieval_set.queries.utm_east, retrieval_set.queries.utm_north)
    limit_m = retrieval_set.positive_distance_m
    # The tree bounds its distances with roundings of its own: look a little farther, then judge in full.
    near = cKDTree(database).query_ball_point(queries, limit_m * (1 + 1e-9), return_sorted=True)
    counts = np.array([len(found) for found in near], dtype=np.int64)
    ids = np.array([row for found in near for row in found], dtype=np.int64)
    difference = np.repeat(queries, counts, axis=0) - database[ids]
    kept = np.square(difference[:, 0]) + np.square(difference[:, 1]) <= limit_m * limit_m
    owner = np.repeat(np.arange(len(queries)), counts)[kept]
    starts = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(queries)))])
    return Positives(starts.astype(np.int64), ids[kept], len(database))


def _points(east: NDArray[np.float64], north: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack([east, north])
