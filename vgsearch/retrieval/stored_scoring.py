"""Scoring through the store: a network that was scored before is not even loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from vgsearch.config.search import EvalConfig
from vgsearch.data.retrieval_set import RetrievalSet
from vgsearch.models.precision import Precision
from vgsearch.retrieval.descriptor_key import ModelIdentityLike
from vgsearch.retrieval.descriptor_store import DescriptorStore, NetworkSource
from vgsearch.retrieval.query_methods import described_parts
from vgsearch.retrieval.recall import RetrievalResult
from vgsearch.retrieval.scoring import score_descriptors


def score_stored(
    store: DescriptorStore,
    network_or_factory: NetworkSource,
    identity: ModelIdentityLike,
    sets: Sequence[RetrievalSet],
    *,
    eval_config: EvalConfig,
    device: torch.device,
    precision: Precision,
    loader_threads: int = 2,
    progress: Callable[[int], None] | None = None,
    label: str = "",
    detailed: bool = False,
) -> list[RetrievalResult]:
    """Score several sets as `score_sets` does, with descriptors from the store where it has them.

    Args:
        store: keeps what is extracted.
        network_or_factory: see `DescriptorStore.describe`.
        identity: of the network.
        sets: what to score on; databases with the same files are extracted once.
        eval_config: the user's.
        device: where to extract and to search.
        precision: see `extract_descriptors`.
        loader_threads: see `extract_descriptors`.
        progress: called with the number of images just extracted.
        label: what people call the network.
        detailed: see `score_set`; queries that are stored took no time.

    Returns:
        One result for each set, the same as without a store.

    Raises:
        VgsearchError: as `DescriptorStore.describe` and `score_descriptors`.
    """
    results = []
    for each in sets:
        parts = described_parts(each.database, each.queries, eval_config, threads=loader_threads)
        spent_s: list[float] = []
        database, queries = (
            store.describe(
                network_or_factory,
                identity,
                part.index,
                eval_config=part.eval_config,
                device=device,
                precision=precision,
                loader_threads=loader_threads,
                progress=progress,
                timing=timing,
                label=label,
            )
            for part, timing in zip(parts, (None, spent_s.append), strict=True)
        )
        result = score_descriptors(
            database, queries, each, eval_config=eval_config, device=device, detailed=detailed
        )
        is_timed = detailed and spent_s
        results.append(replace(result, query_extraction_s=spent_s[0]) if is_timed else result)
    return results
