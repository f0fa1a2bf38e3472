"""One network on one retrieval set: extract, search, judge."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from vgsearch.config.search import EvalConfig
from vgsearch.data.retrieval_set import RetrievalSet
from vgsearch.models.precision import Precision
from vgsearch.retrieval.extraction import extract_descriptors
from vgsearch.retrieval.neighbours import nearest, squared_distances
from vgsearch.retrieval.query_merge import merge_crops, with_votes
from vgsearch.retrieval.query_methods import DescribedPart, described_parts, rows_per_image
from vgsearch.retrieval.recall import DEPTH, RetrievalResult
from vgsearch.retrieval.stamp import Stamp


def score_set(
    network: nn.Module,
    retrieval_set: RetrievalSet,
    *,
    eval_config: EvalConfig,
    device: torch.device,
    precision: Precision,
    loader_threads: int = 2,
    progress: Callable[[int], None] | None = None,
    detailed: bool = False,
) -> RetrievalResult:
    """Score `network`; see `extract_descriptors` for the arguments and errors.

    `eval_config` is the user's. `progress` is called with the number of images just finished, database and
    queries alike. A `detailed` result also has `query_extraction_s` and `neighbour_ids`. The network's
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
        detailed=detailed,
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
    detailed: bool = False,
) -> list[RetrievalResult]:
    """Score several sets as `score_set` does one.

    A database that follows another set's with the same files (names, sizes and times of change: day and
    night queries of one city, say) is not extracted again.
    """

    def describe(part: DescribedPart) -> NDArray[np.float32]:
        return extract_descriptors(
            network,
            part.index,
            eval_config=part.eval_config,
            device=device,
            precision=precision,
            loader_threads=loader_threads,
            progress=progress,
        )

    results = []
    fingerprint, database = "", np.empty((0, 0), np.float32)
    for each in retrieval_sets:
        parts = described_parts(each.database, each.queries, eval_config, threads=loader_threads)
        if each.database.fingerprint != fingerprint:
            database = describe(parts[0])
            fingerprint = each.database.fingerprint
        start_s = time.perf_counter()
        queries = describe(parts[1])
        spent_s = time.perf_counter() - start_s
        result = score_descriptors(
            database, queries, each, eval_config=eval_config, device=device, detailed=detailed
        )
        results.append(replace(result, query_extraction_s=spent_s) if detailed else result)
    return results


def score_descriptors(
    database: NDArray[np.float32],
    queries: NDArray[np.float32],
    retrieval_set: RetrievalSet,
    *,
    eval_config: EvalConfig,
    device: torch.device | None = None,
    detailed: bool = False,
) -> RetrievalResult:
    """Score descriptors that are there already.

    Args:
        database: float32 (n, d), in the order of `retrieval_set.database`.
        queries: float32 (q * rows_per_image, d), in the order of `retrieval_set.queries`.
        retrieval_set: who is a positive of whom.
        eval_config: how the descriptors were made; it goes into the stamp.
        device: where to search; None takes the GPU if there is one.
        detailed: keep the neighbours.

    Raises:
        ValueError: a matrix does not have the rows that its images should have.
        DataError: a value is not finite, or the lengths of descriptors differ.
    """
    num_queries = rows_per_image(eval_config) * len(retrieval_set.queries)
    if len(database) != len(retrieval_set.database) or len(queries) != num_queries:
        raise ValueError(
            f"{len(retrieval_set.database)} and {num_queries} rows are needed for the images "
            f"of {retrieval_set.name}, got {len(database)} and {len(queries)}"
        )
    neighbours = find_neighbours(database, queries, eval_config=eval_config, device=device)
    return judge(neighbours, retrieval_set, stamp_of(retrieval_set, eval_config), detailed=detailed)


def judge(
    neighbours: NDArray[np.int64], retrieval_set: RetrievalSet, stamp: str, *, detailed: bool = False
) -> RetrievalResult:
    """Judge predictions, wherever their order comes from.

    Args:
        neighbours: int64 (q, DEPTH) rows of the database, best first, -1 where there are no more.
        retrieval_set: who is a positive of whom.
        stamp: what was asked, as of `stamp_of`.
        detailed: keep the neighbours.
    """
    positive = retrieval_set.is_positive(neighbours)
    return RetrievalResult(
        set_name=retrieval_set.name,
        first_hit_rank=np.where(positive.any(axis=1), positive.argmax(axis=1), -1).astype(np.int32),
        num_without_positive=int((~retrieval_set.has_positive).sum()),
        stamp=stamp,
        query_utm_m=np.column_stack([retrieval_set.queries.utm_east, retrieval_set.queries.utm_north]),
        neighbour_ids=neighbours if detailed else None,
    )


def find_neighbours(
    database: NDArray[np.float32],
    queries: NDArray[np.float32],
    *,
    eval_config: EvalConfig,
    device: torch.device | None = None,
) -> NDArray[np.int64]:
    """The `DEPTH` predictions of each query photo; several descriptors of one are merged.

    Args:
        database: float32 (n, d).
        queries: float32 (q * rows_per_image, d), those of one photo together.
        eval_config: names the method.
        device: see `nearest`.

    Returns:
        int64 (q, DEPTH) rows of the database, nearest first, -1 where there are no more.

    Raises:
        DataError: as of `nearest`.
    """
    found = nearest(database, queries, DEPTH, device=device)
    num_rows = rows_per_image(eval_config)
    if num_rows == 1:
        return found
    squared = squared_distances(database, queries, found).reshape(-1, num_rows, DEPTH)
    ids = found.reshape(squared.shape)
    if eval_config.query_method == "majority_voting":
        squared = with_votes(ids, squared)
    return merge_crops(ids, squared, DEPTH)


def stamp_of(retrieval_set: RetrievalSet, eval_config: EvalConfig) -> str:
    """What a recall must share to be comparable: images, threshold, query method and resize, readable.

    For example `1f0c2a9e7b3d5a60-25m-native-480px`, or `...-25m-central_crop-fullsize-480x640` where a target
    is given; letters, digits, dots, hyphens and underscores alone.
    """
    height_px, width_px = eval_config.crop_height_px, eval_config.crop_width_px
    stamp = Stamp(
        images=retrieval_set.query_set_hash[:16],
        threshold=f"{retrieval_set.positive_distance_m:.9g}m".replace("+", ""),
        query_method=eval_config.query_method,
        resize="fullsize" if eval_config.resize_px is None else f"{eval_config.resize_px}px",
        target="" if height_px is None else f"{height_px}x{width_px}",
    )
    return str(stamp)
