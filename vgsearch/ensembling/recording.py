"""Recording a soup or an ensemble: its run, its version, what it was made of, and its alias."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vgsearch.ensembling.criterion import Criterion
from vgsearch.errors import StorageError
from vgsearch.registry.checkpoint_files import LINEAGE_FILE, recorded_files
from vgsearch.registry.names import (
    INGREDIENTS_TAG,
    SELECTED_ON_TAG,
    SELECTED_ON_TEST_TAG,
    TRANSDUCTIVE_TAG,
    check_alias,
    recall_tags,
)
from vgsearch.registry.protocol import Registry
from vgsearch.registry.records import CombinationKind, ModelVersion
from vgsearch.training.val_scores import recall_metrics, stored_results

# A version counts completed epochs from 1, and a combination is not trained.
COMBINATION_EPOCH = 1


@dataclass(frozen=True)
class Ingredient:
    """One recorded model inside a combination, and its part in it.

    Attributes:
        version: The recorded model.
        coefficient: Its share of the weights or of the fusion; a negative one is possible in a line that is
            drawn beyond its ends.
    """

    version: ModelVersion
    coefficient: float


def combination_uid(kind: CombinationKind, content: Mapping[str, object]) -> str:
    """Name a combination by its content, so that the same command again is the same version.

    Args:
        kind: "soup" or "ensemble".
        content: All that decides the result: settings, criterion, and the weights' hashes of what went in.
            Values that JSON can hold.

    Returns:
        Such as `soup-1f0c2a9e7b3d`, whatever the order of the keys.
    """
    text = json.dumps(dict(content), sort_keys=True, allow_nan=False)
    return f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def record_combination(
    registry: Registry,
    *,
    kind: CombinationKind,
    search: str,
    uid: str,
    folder: Path,
    ingredients: Sequence[Ingredient],
    params: Mapping[str, object],
    spec_text: str,
    alias: str | None,
    criterion: Criterion | None,
    tags: Mapping[str, str] | None = None,
) -> ModelVersion:
    """Make a combination a version of a search's model, and give it an alias.

    Every step can be repeated: after a kill at any point the same call finishes what is missing. The same uid
    with the same weights is one version; the same uid with other weights (sums on another device) is a new
    one in the same run.

    Args:
        registry: Where the ingredients are recorded too.
        kind: "soup" or "ensemble".
        search: The search under whose model it is recorded.
        uid: From `combination_uid`.
        folder: A checkpoint's or an ensemble's folder with the per-query results of the selection splits
            (`result_files`). `lineage.json` is written into it.
        ingredients: What it is made of; at least one.
        params: The settings, nested as they like; kept as the run's parameters and in the lineage.
        spec_text: The file that was asked for, or the settings as YAML; kept as its `combination.yaml`.
        alias: Such as "soup"; None gives none.
        criterion: What it was chosen by; None where nothing was chosen. A test split, or an ingredient that
            was selected on one, tags version and run with `vgsearch.selected_on_test`.
        tags: More tags of the version.

    Returns:
        The version, with its aliases.

    Raises:
        ValueError: No ingredient, a coefficient that is not finite, or no results in `folder`.
        RegistryError: The store refuses, or the alias is none that can be given.
        CheckpointError: `folder` is no checkpoint.
        StorageError: `folder` cannot be written to.
    """
    if not ingredients or not all(math.isfinite(each.coefficient) for each in ingredients):
        raise ValueError(f"a combination has ingredients with finite coefficients, got {list(ingredients)}")
    if alias is not None:
        check_alias(alias)
    recorded_files(folder)
    results = stored_results(folder)
    if not results:
        raise ValueError(f"{folder} holds no per-query results of the selection splits")
    metrics = recall_metrics(results)
    own = {INGREDIENTS_TAG: str(len(ingredients))}
    if criterion is not None:
        own[SELECTED_ON_TAG] = str(criterion)
    if sees_test(ingredients, criterion):
        own[SELECTED_ON_TEST_TAG] = "true"
    if any(each.version.transductive for each in ingredients):
        own[TRANSDUCTIVE_TAG] = "true"
    _write_lineage(folder, lineage(kind, ingredients, params, criterion))
    run_id = registry.open_combination(search, uid, kind=kind, label=uid, params=params, spec_text=spec_text)
    # Before the version, so that whoever finds that one has nothing but `finish_combination` left to do.
    registry.log_scores(run_id, metrics, tags=own)
    version = registry.record_checkpoint(
        run_id,
        folder,
        search=search,
        uid=uid,
        epoch=COMBINATION_EPOCH,
        tags={**(tags or {}), **recall_tags(metrics), **own},
    )
    return finish_combination(registry, version, alias)


def finish_combination(registry: Registry, version: ModelVersion, alias: str | None) -> ModelVersion:
    """Give a recorded combination its alias and close its run: all that a kill may have left undone.

    For a command that finds its result recorded already; it can be repeated at will.

    Args:
        registry: Where it is recorded.
        version: The combination.
        alias: As in `record_combination`.

    Returns:
        The version, with its aliases.

    Raises:
        RegistryError: The store refuses, or the alias is none that can be given.
    """
    if alias is not None:
        registry.set_alias(version.search, alias, version.version)
    registry.finish_trial(version.run_id, "complete")
    return next(each for each in registry.versions(version.search) if each.version == version.version)


def sees_test(ingredients: Sequence[Ingredient], criterion: Criterion | None) -> bool:
    """Whether a test split had a say, in choosing this or in choosing anything that it is made of."""
    return (criterion is not None and criterion.is_test) or any(
        each.version.selected_on_test for each in ingredients
    )


def lineage(
    kind: CombinationKind,
    ingredients: Sequence[Ingredient],
    settings: Mapping[str, object],
    criterion: Criterion | None,
) -> dict[str, object]:
    """What `lineage.json` holds: where every part came from, by reference and by the hash of its weights."""
    return {
        "kind": kind,
        "ingredients": [
            {
                "reference": each.version.reference,
                "uid": each.version.uid,
                "epoch": each.version.epoch,
                "weights_sha256": each.version.weights_sha256,
                "coefficient": each.coefficient,
            }
            for each in ingredients
        ],
        "settings": dict(settings),
        "selected_on": None if criterion is None else str(criterion),
        "selected_on_test": sees_test(ingredients, criterion),
    }


def _write_lineage(folder: Path, content: Mapping[str, object]) -> None:
    target = folder / LINEAGE_FILE
    temporary = folder / f".{LINEAGE_FILE}.tmp"
    text = json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, target)
    except OSError as error:
        raise StorageError(f"cannot write {target}: {error.strerror or error}") from error
