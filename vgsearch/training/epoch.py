"""The loop of one epoch: batches in, steps done, totals out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch

from vgsearch.training.domain_accuracy import accuracy_metrics
from vgsearch.training.loss_watch import LossWatch
from vgsearch.training.step import TrainingStep


@dataclass(frozen=True)
class EpochTotals:
    """What an epoch adds up to.

    Attributes:
        loss: mean over the iterations.
        images: that passed through the network, target-domain ones included.
        seconds: from the first batch asked for to the last loss read back.
        domain_accuracies: the domain classifier's in [0, 1], means over the iterations, for the source and
            each target domain; None without one.
    """

    loss: float
    images: int
    seconds: float
    domain_accuracies: tuple[float, ...] | None

    def metrics(self, targets: Sequence[str]) -> dict[str, float]:
        """As metrics; `targets` are the names of the target domains, see `accuracy_metrics`."""
        metrics = {"train/loss": self.loss, "train/images_per_s": self.images / max(self.seconds, 1e-9)}
        if self.domain_accuracies is not None:
            metrics |= accuracy_metrics(targets, self.domain_accuracies)
        return metrics


def run_epoch(
    step: TrainingStep,
    batches: Iterable[tuple[torch.Tensor, torch.Tensor]],
    target_batches: Iterable[torch.Tensor] | None,
    watch: LossWatch,
    *,
    epoch: int,
    iterations: int,
    planned_epochs: int,
    before_step: Callable[[float], None] | None = None,
    progress: Callable[[int, int, float], None] | None = None,
    check: Callable[[], None] | None = None,
) -> EpochTotals:
    """Run `iterations` steps.

    Args:
        step: trains on one batch.
        batches: yields `iterations` pairs of images (b, 3, h, w) and int64 labels (b,) on the device.
        target_batches: yields as many batches of target-domain images, or None.
        watch: collects the losses.
        epoch: 0-based.
        iterations: of this epoch.
        planned_epochs: of the trial; with `iterations` it gives the fraction done.
        before_step: called with that fraction before each step.
        progress: called with (iterations done, iterations, loss) whenever a loss has been read back.
        check: called after each step; what it raises ends the epoch.

    Raises:
        DivergedError: the loss is not finite.
    """
    start = time.perf_counter()
    images_seen = 0
    accuracy_sums: torch.Tensor | None = None
    targets = None if target_batches is None else iter(target_batches)
    for iteration, (images, labels) in enumerate(batches):
        target = None if targets is None else next(targets)
        fraction = (epoch * iterations + iteration) / (planned_epochs * iterations)
        if before_step is not None:
            before_step(fraction)
        loss, accuracies = step(images, labels, target, fraction)
        if accuracies is not None:
            accuracy_sums = accuracies if accuracy_sums is None else accuracy_sums + accuracies
        images_seen += len(images) + (0 if target is None else len(target))
        read_back = watch.add(iteration, loss)
        if progress is not None and read_back is not None:
            progress(iteration + 1, iterations, read_back)
        if check is not None:
            check()
    return EpochTotals(
        loss=watch.mean(),
        images=images_seen,
        seconds=time.perf_counter() - start,
        domain_accuracies=None if accuracy_sums is None else tuple((accuracy_sums / iterations).tolist()),
    )
