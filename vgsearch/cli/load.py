"""From a file and its `--set`s to a document that is known to be valid."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from vgsearch.config.document import SearchDocument, load_document
from vgsearch.config.weight_files import RecordedWeights
from vgsearch.errors import RegistryError


def load_space(
    file: Path,
    overrides: Sequence[str] | None,
    data_root: Path,
    *,
    home: Path | None = None,
    kept: Mapping[str, RecordedWeights] | None = None,
    allow_missing: bool = False,
) -> SearchDocument:
    """Load a search space, with the checks that need timm and the registry.

    Args:
        file: the YAML file.
        overrides: `--set`s.
        data_root: where relative folders and files start.
        home: names the store that `weights: models:/...` is looked up in; null leaves it unresolved.
        kept: what such references were found to be before; taken as they are while their files exist.
        allow_missing: nothing need exist.

    Raises:
        ConfigError: with every problem of the file.
    """
    from vgsearch.models.backbones import backbone_problem

    return load_document(
        file,
        overrides or (),
        data_root=None if allow_missing else data_root.resolve(),
        check_backbone=backbone_problem,
        find_recorded=None if home is None else partial(_recorded_weights, home.resolve(), kept or {}),
    )


def _recorded_weights(home: Path, kept: Mapping[str, RecordedWeights], reference: str) -> RecordedWeights:
    """The weights of a recorded model, with the tags that are inherited from it.

    Raises:
        RegistryError: it is not recorded.
    """
    if reference in kept and kept[reference].file.is_file():
        return kept[reference]
    from vgsearch.cli.store import open_registry
    from vgsearch.ensembling.ensemble_pot import find_recorded
    from vgsearch.models.checkpoint import MODEL_FILE
    from vgsearch.registry.store_uri import STORE_FILE

    # A store is not made only to find that it is empty.
    if not os.environ.get("MLFLOW_TRACKING_URI") and not (home / STORE_FILE).exists():
        raise RegistryError(f"{reference} cannot be looked up: {home} has no MLflow store; set --home")
    registry = open_registry(home)
    # An alias may move meanwhile: file and tags are those of one version.
    version = find_recorded(registry, reference)
    return RecordedWeights(registry.download(version.reference) / MODEL_FILE, version.inherited_tags)
