"""Training a GeoWarp network, epoch after epoch; a training that was cut off goes on exactly where it was."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml

from vgsearch.config.warp_training import WarpTraining
from vgsearch.data.framing import Framing
from vgsearch.data.index import ImageIndex
from vgsearch.data.prefetch import Prefetcher
from vgsearch.errors import CheckpointError, DivergedError
from vgsearch.models.precision import Precision
from vgsearch.rerank.checkpoint import load_geowarp, save_geowarp
from vgsearch.rerank.continuing import (
    EPOCH_FOLDER,
    METRICS_FILE,
    STATE_FILE,
    TRAINING_FILE,
    latest_epoch,
    read_history,
    read_state,
    require_same_training,
)
from vgsearch.rerank.network import GeoWarpNetwork
from vgsearch.rerank.photos import Ints, PhotoSource
from vgsearch.rerank.quadrilaterals import trapezoids
from vgsearch.rerank.training_batches import WarpBatches
from vgsearch.rerank.warp_step import LOSSES, WarpStep


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
        CheckpointError: What is in `folder` is damaged, or was trained with other settings or photos, or
            for more epochs.
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
    require_same_training(folder, training, lineage)
    latest = latest_epoch(folder)
    done = 0 if latest is None else _resume(latest, network, optimizer, device)
    history = [] if latest is None else read_history(latest)
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
    device: torch.device,
) -> int:
    """Take everything from a checkpoint; returns the number of epochs that are done."""
    network.load_state_dict(load_geowarp(latest, device).state_dict())
    try:
        optimizer.load_state_dict(read_state(latest)["optimizer"])
    except (ValueError, KeyError) as error:
        raise CheckpointError(f"{latest / STATE_FILE}: does not fit ({error}); delete the folder") from error
    return len(read_history(latest))


def _delete_older(folder: Path, latest: Path) -> None:
    for path in folder.glob("epoch_*"):
        if path != latest and EPOCH_FOLDER.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)
