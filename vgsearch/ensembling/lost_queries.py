"""Which queries are lost already, while only a part of the database is described.

A query is right at N if one of its positives is among its N nearest. Further database images can push a
positive down but never up: once all positives of a query are described and N other images lie nearer than the
best of them, it is lost whatever comes. So the queries that are not lost bound the recall from above,
exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from vgsearch.ensembling.val_plan import PlannedSet
from vgsearch.retrieval.recall import RetrievalResult

# unit vectors, so that what is called lost is lost in the exact ranking too.
MARGIN = 1e-4
_BLOCK_ROWS = 1024


class LostQueries:
    """The bound for one set, sharpened as descriptors come in; all updates cost one matrix product."""

    def __init__(self, planned: PlannedSet, n: int, descriptors: NDArray[np.float32]) -> None:
        """Begin with nothing described.

        Args:
            planned: The set.
            n: Recall at how many.
            descriptors: The joint matrix, float32 (rows, d) of norm 1, which somebody fills.
        """
        self._set = planned
        self._n = n
        self._database = descriptors[planned.database_rows]
        self._queries = descriptors[planned.query_rows]
        count = planned.positives.num_queries
        self._best = np.full(count, np.inf, dtype=np.float32)
        self._nearer = np.zeros(count, dtype=np.int64)
        self._seen_database = np.zeros(len(self._database), dtype=bool)
        self._seen_queries = np.zeros(count, dtype=bool)
        self.is_lost = ~planned.retrieval_set.has_positive

    def update(self, described: NDArray[np.bool_]) -> None:
        """Take note of what is described by now.

        Args:
            described: bool (rows,), of the joint matrix. A query counts once it and its positives are there.
        """
        database = described[self._set.database_rows]
        queries = described[self._set.query_rows] & self._positives_in(database)
        new_images = np.flatnonzero(database & ~self._seen_database)
        new_queries = np.flatnonzero(queries & ~self._seen_queries)
        old_queries = np.flatnonzero(self._seen_queries & ~self.is_lost)
        self._seen_database |= database
        self._judge_positives(new_queries)
        self._count_nearer(old_queries, new_images)
        self._count_nearer(new_queries[~self.is_lost[new_queries]], np.flatnonzero(self._seen_database))
        self._seen_queries |= queries
        self.is_lost |= self._nearer >= self._n

    def at_most(self) -> RetrievalResult:
        """The result if every query that is not lost turns out right at 1."""
        retrieval_set = self._set.retrieval_set
        return RetrievalResult(
            set_name=retrieval_set.name,
            first_hit_rank=np.where(self.is_lost, -1, 0).astype(np.int32),
            num_without_positive=int((~retrieval_set.has_positive).sum()),
            stamp="",
        )

    def _positives_in(self, database: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Of which queries all positives are there, bool (q,)."""
        positives = self._set.positives
        missing = np.concatenate([[0], np.cumsum(~database[positives.ids])])
        return np.asarray(missing[positives.starts[1:]] == missing[positives.starts[:-1]])

    def _judge_positives(self, queries: NDArray[np.int64]) -> None:
        """Find the cosine of the best positive of each."""
        queries = queries[np.diff(self._set.positives.starts)[queries] > 0]
        for start in range(0, len(queries), _BLOCK_ROWS):
            rows = queries[start : start + _BLOCK_ROWS]
            own = self._set.positives.of(rows)
            owner = np.repeat(rows, np.diff(own.starts))
            cosines = np.einsum("pd,pd->p", self._queries[owner], self._database[own.ids])
            self._best[rows] = np.maximum.reduceat(cosines, own.starts[:-1])

    def _count_nearer(self, queries: NDArray[np.int64], images: NDArray[np.int64]) -> None:
        if len(queries) == 0 or len(images) == 0:
            return
        with _full_float32():
            for first in range(0, len(images), 8 * _BLOCK_ROWS):
                block = torch.from_numpy(self._database[images[first : first + 8 * _BLOCK_ROWS]])
                for start in range(0, len(queries), _BLOCK_ROWS):
                    rows = queries[start : start + _BLOCK_ROWS]
                    limit = torch.from_numpy(self._best[rows] + MARGIN)
                    nearer = torch.from_numpy(self._queries[rows]) @ block.T > limit[:, None]
                    self._nearer[rows] += nearer.sum(dim=1).numpy()


@contextmanager
def _full_float32() -> Iterator[None]:
    """Products in full float32, whatever was set: the margin is made for that."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast("cpu", enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)
