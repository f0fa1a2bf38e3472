"""What a re-ranker says of each query's candidates, from the store or computed."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from vgsearch.cli.named_model import NamedModel, extraction_bar
from vgsearch.cli.rerank import Reranker
from vgsearch.data.retrieval_set import RetrievalSet
from vgsearch.rerank.pair_scoring import Machine, num_passes, score_candidates
from vgsearch.rerank.score_store import PairScores, ScoreStore
from vgsearch.rerank.scratch_folder import scratch_folder
from vgsearch.retrieval.descriptor_key import arithmetic, images_key

SCORES_FOLDER = "pair_scores"

# Of the steps from two files to a score: raise it when any of them computes something else.
_VERSION = 1


def pair_scores(
    reranker: Reranker,
    model: NamedModel,
    retrieval_set: RetrievalSet,
    candidates: NDArray[np.int64],
    console: Console,
    home: Path,
    *,
    use_store: bool,
) -> PairScores:
    """Score every query with each of its candidates.

    Args:
        reranker: What scores the pairs.
        model: Gives device, threads and the batch size.
        retrieval_set: Where the photos are.
        candidates: int64 (q, k), nearest first.
        console: For the bar.
        home: Absolute; holds the store, and scratch files meanwhile.
        use_store: False neither reads nor keeps anything.

    Raises:
        VgsearchError: A photo cannot be read, or the network diverged.
        StorageError: `home` cannot be written or has no room for the features.
    """
    store, key = ScoreStore(home / SCORES_FOLDER), ""
    if use_store:
        photos = [images_key(part) for part in (retrieval_set.queries, retrieval_set.database)]
        computed = arithmetic(model.device, reranker.precision)
        asked = [f"version {_VERSION}", reranker.identity, computed, *photos]
        key = store.key(asked, candidates)
        stored = store.find(key, candidates.shape)
        if stored is not None:
            return stored
    with (
        scratch_folder(home) as scratch,
        extraction_bar(console, f"re-ranking {retrieval_set.name}", num_passes(candidates)) as advance,
    ):
        began = time.perf_counter()
        scores = score_candidates(
            reranker.network,
            retrieval_set.queries,
            retrieval_set.database,
            candidates,
            machine=Machine(
                device=model.device,
                precision=reranker.precision,
                batch_size=model.eval_config.batch_size,
                loader_threads=model.loader_threads,
                scratch=scratch,
            ),
            progress=advance,
        )
        found = PairScores(scores, time.perf_counter() - began)
    if use_store:
        store.keep(key, found)
    return found
