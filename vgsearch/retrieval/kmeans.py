"""Clusters of many rows, by faiss."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vgsearch.errors import DataError
from vgsearch.models.seeding import part_seed
from vgsearch.retrieval.faiss_search import torch_thread_count

ITERATIONS = 100


def k_means(
    rows: NDArray[np.float32], count: int, *, seed: int, iterations: int = ITERATIONS
) -> NDArray[np.float32]:
    """Lloyd's algorithm from randomly chosen rows, on the CPU and on as many threads as torch uses.

    Args:
        rows: float32 (m, c), finite.
        count: Clusters, at least 1.
        seed: Of the rows that it begins with.
        iterations: How many.

    Returns:
        Centroids, float32 (count, c): means of the rows that were nearest to them.

    Raises:
        DataError: There are fewer different rows than clusters.
    """
    import faiss

    # Two equal centroids would tell no rows apart.
    if len(rows) < count or len(np.unique(rows, axis=0)) < count:
        raise DataError(f"{count} clusters need as many different descriptors or more, got {len(rows)} rows")
    with torch_thread_count():
        clustering = faiss.Kmeans(
            rows.shape[1],
            count,
            niter=iterations,
            seed=part_seed(seed, "k-means") % 2**31,
            min_points_per_centroid=1,  # below 39 it would only warn, on standard error
            max_points_per_centroid=len(rows),  # all rows: they were sampled already
        )
        clustering.train(np.ascontiguousarray(rows))
    return np.asarray(clustering.centroids, dtype=np.float32)
