"""A soup's name, its folder, and finding it again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vgsearch.config.soup import SoupFile
from vgsearch.ensembling.candidates import Candidate
from vgsearch.ensembling.criterion import Criterion
from vgsearch.ensembling.recording import combination_uid
from vgsearch.ensembling.soup_trajectory import TrajectoryStep, from_json, to_json
from vgsearch.errors import CheckpointError, StorageError
from vgsearch.models.checkpoint import METRICS_FILE, read_metrics, save_checkpoint
from vgsearch.models.network import DescriptorNetwork
from vgsearch.registry.protocol import Registry
from vgsearch.registry.records import ModelVersion
from vgsearch.retrieval.recall import RetrievalResult
from vgsearch.training.val_scores import recall_metrics, result_files

# Another number where the same settings and ingredients lead to another soup than before.
ALGORITHM = 1
TRAJECTORY_KEY = "soup_trajectory"
RECIPE_KEY = "soup_recipe"

# What changes how a soup is found or named but not what it is.
_NO_PART_OF_NAME = (
    "architecture_of",
    "between",
    "anchor",
    "searches",
    "top_k",
    "criterion",
    "criteria",
    "alias",
    "early_drop",
    "image_cache_gb",
    "eval",
)


def soup_uid(
    settings: SoupFile,
    criterion: Criterion,
    candidates: Sequence[Candidate],
    stamps: Mapping[str, str],
    *,
    anchor: str | None,
    precision: str,
) -> str:
    """Name a soup by all that decides it, so that the same command finds it again without a single pass.

    Giving up hopeless soups early is exact, so it has no part in the name.

    Args:
        settings: Of them only those that decide.
        criterion: What it is chosen by.
        candidates: The pot in its order.
        stamps: Of the splits that it is scored on, by name.
        anchor: Hash of a model stock's anchor.
        precision: Number format of the passes.
    """
    left_out = {*_NO_PART_OF_NAME}
    if settings.recalibrate_bn == "off":
        left_out |= {"bn_images", "seed"}
    own = settings.model_dump(mode="json", exclude=left_out)
    return combination_uid(
        "soup",
        {
            "algorithm": ALGORITHM,
            "settings": {key: own[key] for key in sorted(own)},
            "criterion": str(criterion),
            "ingredients": [candidate.version.weights_sha256 for candidate in candidates],
            "stamps": dict(stamps),
            "anchor": anchor,
            "precision": precision,
        },
    )


def find_recorded(registry: Registry, search: str, uid: str) -> ModelVersion | None:
    """The version of a soup that was recorded before; the newest, where a device gave several."""
    versions = [each for each in registry.versions(search) if each.uid == uid and each.kind == "soup"]
    return versions[-1] if versions else None


def save_soup(
    folder: Path, network: DescriptorNetwork, candidate: Candidate, changes: Mapping[str, object]
) -> Path:
    """Write a soup's weights as a checkpoint; equal weights give an equal file.

    Args:
        folder: Where; results are added by `add_results`.
        network: With the soup's weights.
        candidate: An ingredient, whose trial the checkpoint carries with `changes`.
        changes: Fields of its `TrialSpec`.

    Raises:
        StorageError: The folder cannot be written.
    """
    return save_checkpoint(folder, network, candidate.spec.model_copy(update=dict(changes)), {})


def add_results(
    folder: Path,
    results: Mapping[str, RetrievalResult],
    steps: Sequence[TrajectoryStep],
    recipe: Sequence[tuple[str, float]],
) -> None:
    """Put per-query results, recalls and the trajectory beside a soup's weights.

    Args:
        folder: From `save_soup`.
        results: Of the selection splits.
        steps: How it came about.
        recipe: Ingredients by reference, with their shares.

    Raises:
        StorageError: The folder cannot be written.
    """
    metrics: dict[str, Any] = {
        "epoch": 1,
        **recall_metrics(results),
        TRAJECTORY_KEY: to_json(steps),
        RECIPE_KEY: [[reference, share] for reference, share in recipe],
    }
    files = {
        METRICS_FILE: (json.dumps(metrics, indent=1, sort_keys=True, allow_nan=False) + "\n").encode(),
        **result_files(results),
    }
    try:
        for name, content in files.items():
            (folder / name).write_bytes(content)
    except OSError as error:
        raise StorageError(f"cannot write {folder}: {error.strerror or error}") from error


def read_story(folder: Path) -> tuple[list[TrajectoryStep], list[tuple[str, float]]]:
    """The trajectory and the recipe of a recorded soup.

    Raises:
        CheckpointError: It has none, or they are damaged.
    """
    metrics = read_metrics(folder)
    where = str(folder / METRICS_FILE)
    recipe: Any = metrics.get(RECIPE_KEY)
    try:
        shares = [(str(reference), float(share)) for reference, share in recipe]
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{where}: its recipe cannot be read ({error})") from error
    return from_json(metrics.get(TRAJECTORY_KEY), where), shares
