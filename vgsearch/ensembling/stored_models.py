"""Scoring models that are recorded, or about to be: through the descriptor store, so that it is done once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from vgsearch.config.search import EvalConfig
from vgsearch.data.retrieval_set import RetrievalSet
from vgsearch.models.checkpoint import read_spec
from vgsearch.models.ensemble import load_model, model_identity
from vgsearch.models.precision import resolve_scoring_precision
from vgsearch.retrieval.descriptor_store import DescriptorStore
from vgsearch.retrieval.recall import RetrievalResult
from vgsearch.retrieval.stored_scoring import score_stored


class StoredModels:
    """One way of scoring for every model folder."""

    def __init__(
        self, store: DescriptorStore, eval_config: EvalConfig, *, device: torch.device, threads: int
    ) -> None:
        """Score on `device`, decoding with so many `threads`."""
        self._store = store
        self._eval = eval_config
        self._device = device
        self._threads = threads
        self.num_described = 0

    def score(
        self,
        folder: Path,
        sets: Mapping[str, RetrievalSet],
        *,
        label: str,
        progress: Callable[[int], None] = lambda done: None,
    ) -> dict[str, RetrievalResult]:
        """Score a model; what the store has costs no pass.

        Args:
            folder: A checkpoint's or an ensemble's.
            sets: By name.
            label: What people call the model.
            progress: Called with the number of images just described.

        Raises:
            VgsearchError: As `score_stored`.
        """

        def count(num_images: int) -> None:
            self.num_described += num_images
            progress(num_images)

        results = score_stored(
            self._store,
            lambda: load_model(folder, self._device),
            model_identity(folder),
            list(sets.values()),
            eval_config=self._eval,
            device=self._device,
            precision=resolve_scoring_precision(read_spec(folder).trial.precision, self._device),
            loader_threads=self._threads,
            progress=count,
            label=label,
        )
        return dict(zip(sets, results, strict=True))
