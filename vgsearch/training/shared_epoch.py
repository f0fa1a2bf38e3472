"""An epoch of a trial in one process: alone, or in step with the others on its share of every batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace

import torch

from vgsearch.config.search import TrialSpec
from vgsearch.config.trial import TrialConfig
from vgsearch.data.training_set import TargetBatches, TrainingBatches
from vgsearch.models.domain_classifier import alpha_at
from vgsearch.models.precision import Precision
from vgsearch.training.batch_share import BatchShare, no_images, take_share
from vgsearch.training.data_cache import TrialData
from vgsearch.training.domain_batch import DomainBatch, target_counts
from vgsearch.training.epoch import EpochTotals, run_epoch
from vgsearch.training.loss_watch import LossWatch
from vgsearch.training.parts import TrialParts


def train_share(
    parts: TrialParts,
    data: TrialData,
    spec: TrialSpec,
    *,
    epoch: int,
    device: torch.device,
    precision: Precision,
    loader_threads: int,
    share: BatchShare,
    progress: Callable[[int, int, float], None] | None = None,
    check: Callable[[], None] | None = None,
) -> EpochTotals:
    """Train epoch `epoch` (0-based) on group `epoch % groups_used`; gradients are released afterwards.

    Losses, accuracy, images and an end by `DivergedError` are those of the whole epoch in every process.

    Args:
        parts: of the trial, the same in every process.
        data: the same in every process.
        spec: the trial.
        epoch: 0-based.
        device: this process's.
        precision: of the forward pass.
        loader_threads: of this process.
        share: what part of every batch is this process's.
        progress: see `run_epoch`.
        check: likewise.

    Raises:
        DivergedError: the loss is not finite.
        ImageError: an image of this process's share cannot be read.
        ExchangeError: another process is gone or does not answer.
    """
    trial = spec.trial
    group = epoch % parts.classifiers.num_groups
    counts = (
        []
        if parts.domain is None or trial.domain is None
        else target_counts(trial.batch_size, trial.domain, len(data.target_sizes))
    )
    step = replace(
        parts.step_on(group, precision, device),
        batch=DomainBatch.shared(trial.batch_size, counts, share),
        processes=share.processes,
    )
    parts.network.train()
    with ExitStack() as stack:
        batches = TrainingBatches(
            data.train,
            data.groups[group],
            trial,
            epoch=epoch,
            threads=loader_threads,
            device=device,
            styles=data.styles,
        )
        take_share(batches, share)
        stack.enter_context(batches)
        targets = _target_batches(data, trial, sum(counts), epoch, device, loader_threads, share, stack)
        # Training batches have one shape, so the search for the fastest kernels pays; queries differ.
        stack.enter_context(
            torch.backends.cudnn.flags(
                enabled=True, benchmark=not spec.deterministic, deterministic=spec.deterministic
            )
        )
        totals = run_epoch(
            step,
            batches,
            targets,
            LossWatch(
                trial.iterations_per_epoch, device, epoch=epoch + 1, context=in_words(trial, precision)
            ),
            epoch=epoch,
            iterations=trial.iterations_per_epoch,
            planned_epochs=trial.epochs,
            before_step=_inline_reversal(parts, trial),
            progress=progress,
            check=check,
        )
    parts.release_gradients()
    return replace(totals, images=trial.iterations_per_epoch * (trial.batch_size + sum(counts)))


def in_words(trial: TrialConfig, precision: Precision) -> str:
    """What a message about divergence says of the trial."""
    return f"lr={trial.lr:g}, classifier_lr={trial.classifier_lr:g}, precision={precision.name}"


def _target_batches(
    data: TrialData,
    trial: TrialConfig,
    size: int,
    epoch: int,
    device: torch.device,
    threads: int,
    share: BatchShare,
    stack: ExitStack,
) -> Iterable[torch.Tensor] | None:
    if data.target is None or size == 0:
        return None
    if share.count(size) == 0:
        return no_images(trial, device)
    batches = TargetBatches(
        data.target,
        trial,
        batch_size=size,
        epoch=epoch,
        threads=threads,
        device=device,
        domain_sizes=data.target_sizes,
    )
    take_share(batches, share)
    return stack.enter_context(batches)


def _inline_reversal(parts: TrialParts, trial: TrialConfig) -> Callable[[float], None] | None:
    domain = trial.domain
    if domain is None or domain.placement != "inline":
        return None
    return lambda fraction: parts.network.set_grl_alpha(alpha_at(domain, fraction))
