"""A model as a user names it, with all that scoring it needs; its weights are read when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn

from vgsearch.cli.checkpoints import local_checkpoint
from vgsearch.cli.store import open_registry
from vgsearch.config.query_method import QueryMethod
from vgsearch.config.search import EvalConfig, TrialSpec
from vgsearch.data.index import ImageIndex
from vgsearch.data.retrieval_set import RetrievalSet
from vgsearch.errors import ConfigError
from vgsearch.models.checkpoint import read_spec
from vgsearch.models.ensemble import ModelIdentity, load_model, model_identity
from vgsearch.models.precision import Precision, pick_device, resolve_scoring_precision
from vgsearch.registry.names import search_of_model
from vgsearch.registry.references import VersionReference, parse_reference
from vgsearch.retrieval.descriptor_store import DescriptorStore
from vgsearch.retrieval.query_methods import DescribedPart, described_parts
from vgsearch.retrieval.recall import RetrievalResult
from vgsearch.retrieval.scoring import score_set
from vgsearch.retrieval.stored_scoring import score_stored
from vgsearch.training.threads import split_threads, take_cpus

STORE_FOLDER = "descriptors"


@dataclass(frozen=True)
class NamedModel:
    """A checkpoint, soup or ensemble and how it is scored.

    Attributes:
        reference: what the user typed.
        folder: its local folder.
        spec: the trial; its data section names the splits.
        identity: tells its descriptors from others.
        eval_config: the checkpoint's own, with the user's changes.
        device: where it runs.
        precision: what it computes with there.
    """

    reference: str
    folder: Path
    spec: TrialSpec
    identity: ModelIdentity
    eval_config: EvalConfig
    device: torch.device
    precision: Precision

    @cached_property
    def network(self) -> nn.Module:
        """The network on `device`, loaded at first use; `CheckpointError` where it cannot be."""
        return load_model(self.folder, self.device)

    @property
    def loader_threads(self) -> int:
        """Threads that decode images for it."""
        return max(2, split_threads(None, self.device).loader)

    def parts(self, database: ImageIndex, queries: ImageIndex) -> tuple[DescribedPart, DescribedPart]:
        """How the images of a split are brought to it; see `described_parts`."""
        return described_parts(database, queries, self.eval_config, threads=self.loader_threads)

    def missing(self, store: DescriptorStore, parts: Sequence[DescribedPart]) -> list[DescribedPart]:
        """Those of `parts` that `store` has no descriptors of."""
        return store.missing(self.identity, parts, device=self.device, precision=self.precision)

    def describe(
        self, store: DescriptorStore, part: DescribedPart, label: str, progress: Callable[[int], None]
    ) -> NDArray[np.float32]:
        """Descriptors of one part, from the store or into it; see `DescriptorStore.describe`."""
        return store.describe(
            lambda: self.network,
            self.identity,
            part.index,
            eval_config=part.eval_config,
            device=self.device,
            precision=self.precision,
            loader_threads=self.loader_threads,
            progress=progress,
            label=label,
        )

    def score(
        self,
        retrieval_set: RetrievalSet,
        store: DescriptorStore | None,
        label: str,
        progress: Callable[[int], None],
        *,
        detailed: bool = False,
    ) -> RetrievalResult:
        """Score on one split, with or without the store; see `score_stored` and `score_set`."""
        if store is None:
            return score_set(
                self.network,
                retrieval_set,
                eval_config=self.eval_config,
                device=self.device,
                precision=self.precision,
                loader_threads=self.loader_threads,
                progress=progress,
                detailed=detailed,
            )
        (result,) = score_stored(
            store,
            lambda: self.network,
            self.identity,
            [retrieval_set],
            eval_config=self.eval_config,
            device=self.device,
            precision=self.precision,
            loader_threads=self.loader_threads,
            progress=progress,
            label=label,
            detailed=detailed,
        )
        return result


def named_model(
    reference: str,
    home: Path,
    *,
    resize_px: int | None = None,
    batch_size: int | None = None,
    query_method: QueryMethod | None = None,
    crop_height_px: int | None = None,
    crop_width_px: int | None = None,
) -> NamedModel:
    """Find a model, read what describes it, and set this process up to run it; see `take_cpus`.

    Args:
        reference: a folder, `runs:/...` or `models:/...`.
        home: absolute.
        resize_px: in place of the checkpoint's own; None keeps it.
        batch_size: likewise.
        query_method: likewise.
        crop_height_px: likewise.
        crop_width_px: likewise.

    Raises:
        ConfigError: one side of a crop is given alone.
        CheckpointError: the folder is missing or damaged.
        RegistryError: the reference names nothing.
    """
    folder = local_checkpoint(reference, home)
    spec = read_spec(folder)
    changes = {
        "resize_px": resize_px,
        "batch_size": batch_size,
        "query_method": query_method,
        "crop_height_px": crop_height_px,
        "crop_width_px": crop_width_px,
    }
    device = pick_device()
    take_cpus(device)
    return NamedModel(
        reference=reference,
        folder=folder,
        spec=spec,
        identity=model_identity(folder),
        eval_config=_changed(spec.eval, {k: v for k, v in changes.items() if v is not None}),
        device=device,
        precision=resolve_scoring_precision(spec.trial.precision, device),
    )


def _changed(eval_config: EvalConfig, changes: Mapping[str, object]) -> EvalConfig:
    """With the options in place of the keys that they are named after.

    Raises:
        ConfigError: they do not go together.
    """
    try:
        return EvalConfig.model_validate({**eval_config.model_dump(), **changes})
    except ValidationError as error:
        reason = error.errors()[0]["ctx"]["error"]
        raise ConfigError([f"--crop-height-px and --crop-width-px go together: {reason}"]) from error


def lasting_name(model: NamedModel, home: Path) -> str:
    """A name that will mean the same model tomorrow: an alias becomes the version that it means today."""
    if not model.reference.startswith("models:/"):
        return model.reference if model.reference.startswith("runs:/") else str(model.folder.resolve())
    parsed = parse_reference(model.reference)
    if isinstance(parsed, VersionReference) and parsed.alias is not None:
        for version in open_registry(home).versions(search_of_model(parsed.name)):
            if version.weights_sha256 == model.identity.weights_sha256 and parsed.alias in version.aliases:
                return version.reference
    return model.reference


def score_with_bar(
    model: NamedModel,
    retrieval_set: RetrievalSet,
    store: DescriptorStore | None,
    label: str,
    console: Console,
) -> tuple[RetrievalResult, bool]:
    """The detailed result, and whether it needed no extraction; see `NamedModel.score`."""
    parts = model.parts(retrieval_set.database, retrieval_set.queries)
    missing = parts if store is None else model.missing(store, parts)
    num_images = sum(len(part.index) for part in missing)
    with extraction_bar(console, f"extracting {retrieval_set.name}", num_images) as advance:
        return model.score(retrieval_set, store, label, advance, detailed=True), not missing


@contextmanager
def extraction_bar(console: Console, text: str, num_images: int) -> Iterator[Callable[[int], None]]:
    """A bar that is gone when it is done; yields what to call with the number of images just finished.

    There is none in a pipe, and none where there is nothing to extract.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    is_shown = console.is_terminal and num_images > 0
    with Progress(*columns, console=console, transient=True, disable=not is_shown) as bar:
        task = bar.add_task(text, total=num_images)
        yield lambda done: bar.advance(task, done)
