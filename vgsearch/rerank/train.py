"""Training a GeoWarp network, epoch after epoch; a training that was cut off goes on exactly where it was."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from vgsearch.config.warp_training import WarpTraining
from vgsearch.data.framing import Framing
from vgsearch.data.index import ImageIndex
from vgsearch.data.prefetch import Prefetcher
from vgsearch.errors import CheckpointError, DivergedError
from vgsearch.models.plain_yaml import read_plain_yaml, read_small_text
from vgsearch.models.precision import Precision
from vgsearch.rerank.checkpoint import is_geowarp, load_geowarp, save_geowarp
from vgsearch.rerank.network import GeoWarpNetwork
from vgsearch.rerank.photos import Ints, PhotoSource
from vgsearch.rerank.quadrilaterals import trapezoids
from vgsearch.rerank.training_batches import WarpBatches
from vgsearch.rerank.warp_step import LOSSES, WarpStep

TRAINING_FILE = "training.yaml"
METRICS_FILE = "metrics.json"
STATE_FILE = "training_state.pt"

_EPOCH_FOLDER = re.compile(r"epoch_(\d{4,})")
# A longer training, or one on another machine, is still the same one.
_FREE_KEYS = ("name", "epochs", "precision")


@dataclass(frozen=True)
class WarpEpoch:
    """One finished epoch.

    Attributes:
        epoch: From 1.
        losses: Mean of each weighted loss over the epoch, by name.
        folder: Its checkpoint.
    """

    epoch: int
    losses: Mapping[str, float]
    folder: Path


def train_warp(
    network: GeoWarpNetwork,
    training: WarpTraining,
    photos: ImageIndex,
    pairs: Ints,
    folder: Path,
    *,
    lineage: Mapping[str, object],
    device: torch.device,
    precision: Precision,
    loader_threads: int = 2,
    on_epoch: Callable[[WarpEpoch], None] = lambda epoch: None,
    progress: Callable[[int], None] = lambda iterations: None,
) -> Path:
    """Train what is left to train.

    Args:
        network: On `device`; where `folder` holds a checkpoint its weights are taken.
        training: The settings.
        photos: Training photos.
        pairs: Rows of query and positive, int64 (m, 2).
        folder: Checkpoints `epoch_0001` and so on; each is written whole, then older ones go.
        lineage: Where the network comes from; goes into every checkpoint.
        device: Where to train.
        precision: Of the encoder.
        loader_threads: That decode photos.
        on_epoch: Told of every finished epoch.
        progress: Called with the number of iterations just finished.

    Returns:
        The last checkpoint.

    Raises:
        CheckpointError: What is in `folder` is damaged, or was trained with other settings.
        DivergedError: A loss is not finite.
        DataError: There are too few photos or pairs.
        ImageError: A photo cannot be read.
        StorageError: A checkpoint cannot be written.
    """
    optimizer = torch.optim.SGD(
        network.regression.parameters(),
        lr=training.lr,
        momentum=training.momentum,
        weight_decay=training.weight_decay,
    )
    latest = latest_epoch(folder)
    done = 0 if latest is None else _resume(latest, network, optimizer, training, device)
    history = [] if latest is None else _history(latest)
    step = WarpStep(network, training.weights, precision)
    for epoch in range(done, training.epochs):
        network.train()
        batches = WarpBatches(training, photos, pairs, epoch)
        means = _train_epoch(step, optimizer, batches, training, device, loader_threads, progress)
        history.append(means)
        latest = _save(
            folder / f"epoch_{epoch + 1:04d}", network, optimizer, training, history, lineage, pairs
        )
        _delete_older(folder, latest)
        on_epoch(WarpEpoch(epoch + 1, means, latest))
    network.eval()
    assert latest is not None  # there is at least one epoch
    return latest


def latest_epoch(folder: Path) -> Path | None:
    """The checkpoint of the last whole epoch in a training's folder; None where there is none."""
    found = {
        int(match[1]): path
        for path in folder.glob("epoch_*")
        if (match := _EPOCH_FOLDER.fullmatch(path.name)) and is_geowarp(path)
    }
    return found[max(found)] if found else None


def stored_pairs(folder: Path) -> Ints | None:
    """The pairs that a training began with, int64 (m, 2), so that it goes on with the very same."""
    latest = latest_epoch(folder)
    if latest is None:
        return None
    pairs: Ints = _state(latest)["pairs"].numpy()
    return pairs


def _train_epoch(
    step: WarpStep,
    optimizer: torch.optim.Optimizer,
    batches: WarpBatches,
    training: WarpTraining,
    device: torch.device,
    loader_threads: int,
    progress: Callable[[int], None],
) -> dict[str, float]:
    framing = Framing("exact", training.height_px, training.width_px)
    source = PhotoSource(batches, framing, pin_memory=device.type == "cuda")
    total = torch.zeros(len(LOSSES), device=device)
    with Prefetcher(source, len(batches), threads=loader_threads) as loading:
        for number, groups in enumerate(loading):
            views, *pair = (group.to(device, non_blocking=True) for group in groups)
            drawn = trapezoids(batches.uniforms(number), training.k).to(device)
            optimizer.zero_grad()
            total += step.backward(views, drawn, (pair[0], pair[1]) if pair else None)
            optimizer.step()
            progress(1)
    means = (total / len(batches)).tolist()
    if not torch.isfinite(total).all():
        losses = ", ".join(f"{name} {mean:g}" for name, mean in zip(LOSSES, means, strict=True))
        raise DivergedError(f"losses must be finite, but are {losses}; lower lr or raise batch_size")
    return dict(zip(LOSSES, means, strict=True))


def _save(
    folder: Path,
    network: GeoWarpNetwork,
    optimizer: torch.optim.Optimizer,
    training: WarpTraining,
    history: list[dict[str, float]],
    lineage: Mapping[str, object],
    pairs: Ints,
) -> Path:
    state = io.BytesIO()
    torch.save({"optimizer": optimizer.state_dict(), "pairs": torch.from_numpy(pairs)}, state)
    settings = yaml.safe_dump(training.model_dump(mode="json"), sort_keys=False)
    metrics = json.dumps({"epoch": len(history), "losses": history}, indent=1, allow_nan=False)
    return save_geowarp(
        folder,
        network,
        {**lineage, "epoch": len(history)},
        extra_files={
            TRAINING_FILE: settings.encode(),
            METRICS_FILE: f"{metrics}\n".encode(),
            STATE_FILE: state.getvalue(),
        },
    )


def _resume(
    latest: Path,
    network: GeoWarpNetwork,
    optimizer: torch.optim.Optimizer,
    training: WarpTraining,
    device: torch.device,
) -> int:
    """Take everything from a checkpoint; returns the number of epochs that are done."""
    before = read_plain_yaml(latest / TRAINING_FILE)
    now = training.model_dump(mode="json")
    changed = [key for key in now if key not in _FREE_KEYS and (before or {}).get(key) != now[key]]
    if changed:
        raise CheckpointError(
            f"{latest}: was trained with other settings ({', '.join(changed)}); give them as they were, or "
            "train under another name (--set name=...)"
        )
    network.load_state_dict(load_geowarp(latest, device).state_dict())
    try:
        optimizer.load_state_dict(_state(latest)["optimizer"])
    except (ValueError, KeyError) as error:
        raise CheckpointError(f"{latest / STATE_FILE}: does not fit ({error}); delete the folder") from error
    return len(_history(latest))


def _history(folder: Path) -> list[dict[str, float]]:
    try:
        content = json.loads(read_small_text(folder / METRICS_FILE))
        return [{name: float(losses[name]) for name in LOSSES} for losses in content["losses"]]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder / METRICS_FILE}: is damaged; delete {folder}") from error


def _state(folder: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = torch.load(folder / STATE_FILE, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(
            f"{folder / STATE_FILE}: is missing or damaged ({type(error).__name__}); delete {folder}"
        ) from error
    return state


def _delete_older(folder: Path, latest: Path) -> None:
    for path in folder.glob("epoch_*"):
        if path != latest and _EPOCH_FOLDER.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)
