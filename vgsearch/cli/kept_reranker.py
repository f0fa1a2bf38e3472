"""A name among the networks that re-rank stays with the network it was given to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vgsearch.config.warp_training import WarpTraining
from vgsearch.errors import StorageError
from vgsearch.rerank.baseline import BaselinePooling
from vgsearch.rerank.checkpoint import geowarp_identity, holds_geowarp, is_geowarp, read_geowarp_lineage
from vgsearch.rerank.continuing import differences
from vgsearch.rerank.network import GeoWarpNetwork

TRAINED = "trained"


def require_free_to_import(folder: Path, network: GeoWarpNetwork, pooling: BaselinePooling | None) -> None:
    """Refuse a folder that holds anything but this very network with this pooling.

    Raises:
        StorageError: It does.
        CheckpointError: What it holds is damaged.
    """
    advice = "give this one another name with --name"
    _require_checkpoint(folder, advice)
    if folder.exists() and not holds_geowarp(folder, network, pooling):
        raise StorageError(f"{folder} holds another network ({geowarp_identity(folder)}): {advice}")


def require_free_to_train(folder: Path, training: WarpTraining, lineage: Mapping[str, object]) -> None:
    """Refuse a folder that holds anything but an equal training of as many epochs or fewer.

    Raises:
        StorageError: It does.
        CheckpointError: What it holds is damaged.
    """
    advice = "train under another name (--set name=...)"
    _require_checkpoint(folder, advice)
    if not folder.exists():
        return
    before = read_geowarp_lineage(folder)
    if before.get("kind") != TRAINED:
        raise StorageError(f"{folder} holds a network that was not trained here: {advice}")
    changed = differences(before.get("training"), training, before, lineage)
    epochs = before.get("epochs")
    if isinstance(epochs, int) and epochs > training.epochs:
        changed.append(f"{epochs} epochs there and {training.epochs} here")
    if changed:
        raise StorageError(f"{folder} holds the network of another training ({', '.join(changed)}): {advice}")


def _require_checkpoint(folder: Path, advice: str) -> None:
    if folder.exists() and not is_geowarp(folder):
        raise StorageError(f"{folder} exists and is no GeoWarp checkpoint: {advice}")
