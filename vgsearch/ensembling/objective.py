"""The number that a selection maximises, from the queries that were right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Objective:
    """Recall at `n`, the plain mean over splits of `split_sizes` queries each.

    Hits are bool (q,), of all splits one after the other.
    """

    n: int
    split_sizes: tuple[int, ...]

    @property
    def num_queries(self) -> int:
        """q, over all splits."""
        return sum(self.split_sizes)

    def percent(self, hits: NDArray[np.bool_]) -> float:
        """The objective's value, 0 to 100; equal counts of hits give equal values.

        Raises:
            ValueError: not one hit or miss for each query.
        """
        if hits.shape != (self.num_queries,):
            raise ValueError(f"hits of {self.num_queries} queries are needed, got {hits.shape}")
        values = []
        start = 0
        for size in self.split_sizes:
            values.append(100.0 * int(np.count_nonzero(hits[start : start + size])) / size)
            start += size
        return sum(values) / len(values)

    def query_weights(self) -> NDArray[np.float64]:
        """What one hit adds to the value, float64 (q,), in percent."""
        per_split = [100.0 / (len(self.split_sizes) * size) for size in self.split_sizes]
        return np.repeat(per_split, self.split_sizes)
