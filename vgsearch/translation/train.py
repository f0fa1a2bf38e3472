"""The training of a translator, epoch by epoch, each with a checkpoint to go on from."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from vgsearch.data.draws import Salt, random_uniforms
from vgsearch.data.index import ImageIndex
from vgsearch.errors import CheckpointError, DivergedError, StorageError, first_line
from vgsearch.models.precision import Precision
from vgsearch.translation.checkpoint import (
    History,
    TrainingRecord,
    drop_older,
    epoch_folders,
    load_generator,
    load_state,
    read_history,
    read_record,
    save_translator,
)
from vgsearch.translation.gan_step import GanTraining
from vgsearch.translation.gan_translator import GanTranslator
from vgsearch.translation.generator import Decoder, Encoder
from vgsearch.translation.image_pool import NUM_UNIFORMS
from vgsearch.translation.photo_size import WorkingSize
from vgsearch.translation.preview import before_and_after
from vgsearch.translation.training_photos import num_iterations, training_photos

SECONDS = "train/seconds"

Report = Callable[[int, Mapping[str, float], Path], None]
"""Called after each epoch with its number from 1, its metrics and its checkpoint."""


def train_translator(
    record: TrainingRecord,
    indexes: tuple[ImageIndex, ImageIndex],
    run: Path,
    *,
    device: torch.device,
    precision: Precision,
    threads: int,
    resume: bool,
    save_every: int = 5,
    report: Report = lambda epoch, metrics, folder: None,
    progress: Callable[[int], None] = lambda done: None,
) -> Path:
    """Train to the end, or go on to it.

    Every draw derives from (seed, epoch, position), so on a CPU a training that was killed and resumed ends
    with the same weights, bit for bit, as one that was not.

    Args:
        record: settings and photos.
        indexes: photos of both domains, in the order of `config.domains`.
        run: folder of the training; its checkpoints are `epoch_0001` and so on.
        device: where it trains.
        precision: of convolutions.
        threads: how many read photos.
        resume: go on after the newest checkpoint; else there must be none.
        save_every: of the older checkpoints, which are kept.
        report: see `Report`; called for the epochs that are done already too.
        progress: called with 1 after each step.

    Returns:
        The last checkpoint.

    Raises:
        StorageError: there is a training already, or the folder cannot be written.
        CheckpointError: there is nothing to resume, or it is of another training.
        DivergedError: a loss is not finite.
        ImageError: a photo cannot be read.
    """
    training = GanTraining(record.config, device, precision)
    history = _begin(training, record, run, resume=resume)
    for epoch, metrics in enumerate(history, 1):
        report(epoch, metrics, run / _name(epoch))
    for epoch in range(len(history) + 1, record.config.total_epochs + 1):
        history.append(_epoch(training, indexes, epoch, threads, progress))
        folder = run / _name(epoch)
        sheet = _preview(training, indexes[0])
        save_translator(folder, training.generator, record, history, training.state_dict(), sheet)
        drop_older(run, epoch, save_every=save_every)
        report(epoch, history[-1], folder)
    return run / _name(len(history))


def require_run_folder(run: Path, *, resume: bool) -> dict[int, Path]:
    """Checkpoints to go on from: some for a resume, else none.

    Raises:
        StorageError: there are some.
        CheckpointError: there are none.
    """
    found = epoch_folders(run)
    if found and not resume:
        raise StorageError(f"{run} holds a training of {max(found)} epochs: --resume goes on with it")
    if resume and not found:
        raise CheckpointError(f"{run} holds no checkpoint to go on from; leave --resume out to begin")
    return found


def _begin(training: GanTraining, record: TrainingRecord, run: Path, *, resume: bool) -> History:
    """Restore the newest checkpoint, if there is one to go on from; return the history up to it."""
    found = require_run_folder(run, resume=resume)
    if not found:
        return []
    epoch = max(found)
    folder = found[epoch]
    _require_same(read_record(folder), record, run)
    history = read_history(folder)
    if len(history) != epoch:
        raise CheckpointError(f"{folder}: its metrics are of {len(history)} epochs; delete the folder")
    generator = load_generator(folder, record.config)
    training.generator.load_state_dict(generator.state_dict())
    if epoch < record.config.total_epochs:
        try:
            training.load_state_dict(load_state(folder, epoch))
        except (KeyError, ValueError, RuntimeError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"{folder}: its training state does not fit ({first_line(error)})"
            ) from error
    return history


def _require_same(found: TrainingRecord, wanted: TrainingRecord, run: Path) -> None:
    """Refuse to go on with other settings or photos.

    Raises:
        CheckpointError: names what differs, with both values.
    """
    theirs, ours = found.config.model_dump(), wanted.config.model_dump()
    differing = [f"{key} ({theirs[key]} there, {ours[key]} here)" for key in ours if theirs[key] != ours[key]]
    for name in wanted.config.domains:
        if found.photos.get(name, {}).get("hash") != wanted.photos[name]["hash"]:
            differing.append(f"the photos of {name}")
    if differing:
        raise CheckpointError(
            f"{run} is a training with other settings: {', '.join(differing)}; give the same ones, or "
            "another folder"
        )


def _epoch(
    training: GanTraining,
    indexes: tuple[ImageIndex, ImageIndex],
    epoch: int,
    threads: int,
    progress: Callable[[int], None],
) -> dict[str, float]:
    """Train one epoch; return its mean losses, photos per second and seconds."""
    config = training.config
    training.begin_epoch(epoch)
    training.generator.train()
    sums: dict[str, Tensor] = {}
    key = (Salt.TRANSLATION_POOL, config.seed, epoch)
    began = time.monotonic()
    with closing(training_photos(config, indexes, epoch, threads=threads)) as batches:
        for number, pair in enumerate(batches):
            positions = np.arange(
                number * config.batch_size, (number + 1) * config.batch_size, dtype=np.int64
            )
            draws = np.stack([random_uniforms((*key, d), positions, NUM_UNIFORMS) for d in (0, 1)])
            for name, loss in training.step(pair, draws).items():
                sums[name] = sums.get(name, 0) + loss
            progress(1)
    steps = num_iterations(config, indexes)
    losses = {f"train/{name}": total.item() / steps for name, total in sums.items()}
    bad = [name for name, value in losses.items() if not math.isfinite(value)]
    if bad:
        raise DivergedError(
            f"{', '.join(bad)} is not finite in epoch {epoch}: lower --set lr, or set precision=fp32"
        )
    seconds = time.monotonic() - began
    rate = 2 * config.batch_size * steps / max(seconds, 1e-9)
    return {**losses, "train/lr": config.learning_rate(epoch), "train/images_per_s": rate, SECONDS: seconds}


def _preview(training: GanTraining, index: ImageIndex) -> bytes:
    """Photos of the first domain and their translations, as a checkpoint of now would give them."""
    source, target = training.config.domains
    translator = GanTranslator(
        cast(Encoder, training.generator.encoders[source]),
        cast(Decoder, training.generator.decoders[target]),
        WorkingSize(training.config.load_px),
        training.device,
        training.precision,
        {},
    )
    return before_and_after(index, translator)


def _name(epoch: int) -> str:
    return f"epoch_{epoch:04d}"
