"""What a training goes on from: its last whole epoch, which must be of the same settings and photos."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from vgsearch.config.warp_training import WarpTraining
from vgsearch.errors import CheckpointError
from vgsearch.models.plain_yaml import read_plain_yaml, read_small_text
from vgsearch.rerank.checkpoint import is_geowarp, read_geowarp_lineage
from vgsearch.rerank.photos import Ints
from vgsearch.rerank.warp_step import LOSSES

TRAINING_FILE = "training.yaml"
METRICS_FILE = "metrics.json"
STATE_FILE = "training_state.pt"
EPOCH_FOLDER = re.compile(r"epoch_(\d{4,})")

# A longer training, or one on another machine, is still the same one.
_FREE_KEYS = ("name", "epochs", "precision")


def latest_epoch(folder: Path) -> Path | None:
    """The checkpoint of the last whole epoch in a training's folder; None where there is none."""
    found = {
        int(match[1]): path
        for path in folder.glob("epoch_*")
        if (match := EPOCH_FOLDER.fullmatch(path.name)) and is_geowarp(path)
    }
    return found[max(found)] if found else None


def stored_pairs(folder: Path) -> Ints | None:
    """The pairs that a training began with, int64 (m, 2), so that it goes on with the very same."""
    latest = latest_epoch(folder)
    if latest is None:
        return None
    pairs: Ints = read_state(latest)["pairs"].numpy()
    return pairs


def require_same_training(folder: Path, training: WarpTraining, lineage: Mapping[str, object]) -> None:
    """Refuse to go on with other settings, photos, pairs or encoder weights, or to fewer epochs.

    The stored pairs are rows of the index of the photos, so other photos would make other pairs of them.

    Args:
        folder: The training's; without a checkpoint there is nothing to refuse.
        training: The settings as they are now.
        lineage: Where the network would come from now; see `train_warp`.

    Raises:
        CheckpointError: Names what differs.
    """
    latest = latest_epoch(folder)
    if latest is None:
        return
    changed = differences(
        read_plain_yaml(latest / TRAINING_FILE), training, read_geowarp_lineage(latest), lineage
    )
    if changed:
        raise CheckpointError(
            f"{latest}: was trained with other settings ({', '.join(changed)}); give them as they were, or "
            "train under another name (--set name=...)"
        )
    done = len(read_history(latest))
    if done > training.epochs:
        raise CheckpointError(
            f"{latest}: is the end of {done} epochs, more than epochs={training.epochs}; set that many "
            "or more, or train under another name (--set name=...)"
        )


def differences(
    settings: object, training: WarpTraining, before: Mapping[str, Any], now: Mapping[str, Any]
) -> list[str]:
    """What makes two trainings two, in words.

    Args:
        settings: Of the earlier one, as they were written.
        training: The settings of the later one.
        before: Lineage of the earlier one.
        now: Lineage of the later one.
    """
    theirs = settings if isinstance(settings, dict) else {}
    ours = training.model_dump(mode="json")
    found = [key for key in ours if key not in _FREE_KEYS and theirs.get(key) != ours[key]]
    if _content_hash(before) != _content_hash(now):
        found.append("other photos in data.train")
    if before.get("pairs_by") != now.get("pairs_by"):
        found.append(f"pairs by {before.get('pairs_by')} there and {now.get('pairs_by')} here, see --model")
    if before.get("encoder_sha256") != now.get("encoder_sha256"):
        found.append("other content of encoder_weights")
    return found


def read_history(folder: Path) -> list[dict[str, float]]:
    """Mean losses of each epoch up to a checkpoint.

    Raises:
        CheckpointError: They are missing or damaged.
    """
    try:
        content = json.loads(read_small_text(folder / METRICS_FILE))
        return [{name: float(losses[name]) for name in LOSSES} for losses in content["losses"]]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder / METRICS_FILE}: is damaged; delete {folder}") from error


def read_state(folder: Path) -> dict[str, Any]:
    """State of the optimizer, and the pairs, of a checkpoint.

    Raises:
        CheckpointError: They are missing or damaged.
    """
    try:
        state: dict[str, Any] = torch.load(folder / STATE_FILE, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(
            f"{folder / STATE_FILE}: is missing or damaged ({type(error).__name__}); delete {folder}"
        ) from error
    return state


def _content_hash(lineage: Mapping[str, Any]) -> object:
    photos = lineage.get("photos")
    return photos.get("content_hash") if isinstance(photos, dict) else None
