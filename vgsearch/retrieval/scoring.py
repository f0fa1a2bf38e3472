"""One network on one retrieval set: extract, search, judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from vgsearch.config.search import EvalConfig
from vgsearch.data.index import ImageIndex
from vgsearch.data.retrieval_set import RetrievalSet
from vgsearch.models.precision import Precision
from vgsearch.retrieval.extraction import extract_descriptors
from vgsearch.retrieval.neighbours import nearest
from vgsearch.retrieval.recall import DEPTH, RetrievalResult


def score_set(
    network: nn.Module,
    retrieval_set: RetrievalSet,
    *,
    eval_config: EvalConfig,
    device: torch.device,
    precision: Precision,
    loader_threads: int = 2,
    progress: Callable[[int], None] | None = None,
) -> RetrievalResult:
    """Score `network`; see `extract_descriptors` for the arguments and errors.

    `progress` is called with the number of images just finished, database and queries alike. The network's
    training mode is left as it was.
    """
    (result,) = score_sets(
        network,
        [retrieval_set],
        eval_config=eval_config,
        device=device,
        precision=precision,
        loader_threads=loader_threads,
        progress=progress,
    )
    return result


def score_sets(
    network: nn.Module,
    retrieval_sets: Sequence[RetrievalSet],
    *,
    eval_config: EvalConfig,
    device: torch.device,
    precision: Precision,
    loader_threads: int = 2,
    progress: Callable[[int], None] | None = None,
) -> list[RetrievalResult]:
    """Score several sets as `score_set` does one.

    A database that follows another set's with the same files (names, sizes and times of change: day and
    night queries of one city, say) is not extracted again.
    """

    def describe(index: ImageIndex) -> NDArray[np.float32]:
        return extract_descriptors(
            network,
            index,
            eval_config=eval_config,
            device=device,
            precision=precision,
            loader_threads=loader_threads,
            progress=progress,
        )

    results = []
    fingerprint, database = "", np.empty((0, 0), np.float32)
    for retrieval_set in retrieval_sets:
        if retrieval_set.database.fingerprint != fingerprint:
            database = describe(retrieval_set.database)
            fingerprint = retrieval_set.database.fingerprint
        queries = describe(retrieval_set.queries)
        results.append(
            score_descriptors(database, queries, retrieval_set, eval_config=eval_config, device=device)
        )
    return results


def score_descriptors(
    database: NDArray[np.float32],
    queries: NDArray[np.float32],
    retrieval_set: RetrievalSet,
    *,
    eval_config: EvalConfig,
    device: torch.device | None = None,
) -> RetrievalResult:
    """Score descriptors that are there already.

    Args:
        database: float32 (n, d), in the order of `retrieval_set.database`.
        queries: float32 (q, d), in the order of `retrieval_set.queries`.
        retrieval_set: who is a positive of whom.
        eval_config: how the descriptors were made; it goes into the stamp.
        device: where to search; None takes the GPU if there is one.

    Raises:
        ValueError: a matrix does not have a row for each image.
        DataError: a value is not finite, or the lengths of descriptors differ.
    """
    if len(database) != len(retrieval_set.database) or len(queries) != len(retrieval_set.queries):
        raise ValueError(
            f"{len(retrieval_set.database)} and {len(retrieval_set.queries)} rows are needed for the images "
            f"of {retrieval_set.name}, got {len(database)} and {len(queries)}"
        )
    positive = retrieval_set.is_positive(nearest(database, queries, DEPTH, device=device))
    return RetrievalResult(
        set_name=retrieval_set.name,
        first_hit_rank=np.where(positive.any(axis=1), positive.argmax(axis=1), -1).astype(np.int32),
        num_without_positive=int((~retrieval_set.has_positive).sum()),
        stamp=stamp_of(retrieval_set, eval_config),
        query_utm_m=np.column_stack([retrieval_set.queries.utm_east, retrieval_set.queries.utm_north]),
    )


def stamp_of(retrieval_set: RetrievalSet, eval_config: EvalConfig) -> str:
    """What a recall must share to be comparable: images, threshold, query method and resize, readable.

    For example `1f0c2a9e7b3d5a60-25m-native-480px`; letters, digits, dots and hyphens alone.
    """
    resize = "fullsize" if eval_config.resize_px is None else f"{eval_config.resize_px}px"
    threshold = f"{retrieval_set.positive_distance_m:.9g}m".replace("+", "")
    return f"{retrieval_set.query_set_hash[:16]}-{threshold}-{eval_config.query_method}-{resize}"
