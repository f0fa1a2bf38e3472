"""Descriptors of the models of a pot: from the store, or extracted once under a progress bar."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vgsearch.cli.named_model import STORE_FOLDER
from vgsearch.config.search import EvalConfig
from vgsearch.data.retrieval_set import RetrievalSet
from vgsearch.ensembling.candidates import Candidate
from vgsearch.models.ensemble import ModelIdentity, load_model, model_identity
from vgsearch.models.precision import Precision
from vgsearch.retrieval.descriptor_store import DescriptorStore
from vgsearch.retrieval.query_methods import described_parts
from vgsearch.training.threads import split_threads


class PotDescriber:
    """Called with a candidate and a retrieval set, gives the descriptors of database and queries.

    Attributes:
        num_extracted: images that were not in the store.
    """

    def __init__(
        self,
        eval_config: EvalConfig,
        precision: Precision,
        *,
        home: Path,
        device: torch.device,
        console: Console,
    ) -> None:
        """Use the store of `home`; all candidates see images as `eval_config` says, in one precision."""
        self.num_extracted = 0
        self._eval_config, self._precision, self._device = eval_config, precision, device
        self._store = DescriptorStore(home / STORE_FOLDER)
        self._identities: dict[Path, ModelIdentity] = {}
        self._threads = max(2, split_threads(None, device).loader)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=console, transient=True)
        self._task = self._bar.add_task("extracting", total=0, visible=False)

    def __enter__(self) -> PotDescriber:
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take it away."""
        self._bar.stop()

    def __call__(
        self, candidate: Candidate, retrieval_set: RetrievalSet
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Describe one set with one candidate.

        Returns:
            float32 (n, d) of the database and (q, d) of the queries, read-only, rows of norm 1.

        Raises:
            VgsearchError: as `DescriptorStore.describe` and `load_model`.
        """
        folder = candidate.folder
        if folder not in self._identities:
            self._identities[folder] = model_identity(folder)
        opened: list[torch.nn.Module] = []

        def network() -> torch.nn.Module:
            if not opened:
                opened.append(load_model(folder, self._device))
            return opened[0]

        described = []
        parts = described_parts(
            retrieval_set.database, retrieval_set.queries, self._eval_config, threads=self._threads
        )
        for part in parts:
            self._bar.reset(
                self._task, description=f"extracting with {candidate.reference}", total=len(part.index)
            )
            described.append(
                self._store.describe(
                    network,
                    self._identities[folder],
                    part.index,
                    eval_config=part.eval_config,
                    device=self._device,
                    precision=self._precision,
                    loader_threads=self._threads,
                    progress=self._advance,
                    label=candidate.reference,
                )
            )
            self._bar.update(self._task, visible=False)
        return described[0], described[1]

    def _advance(self, done: int) -> None:
        self.num_extracted += done
        self._bar.update(self._task, visible=True, advance=done)
