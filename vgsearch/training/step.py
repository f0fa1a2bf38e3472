"""One training step: forward in the chosen precision, place and domain losses, backward, three optimizers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional

from vgsearch.models.margin_head import MarginHead
from vgsearch.models.precision import Precision, autocast
from vgsearch.training.domain_batch import DomainBatch
from vgsearch.training.domain_step import DomainStep
from vgsearch.training.gradient_sum import sum_over_processes


@dataclass(frozen=True)
class TrainingStep:
    """Everything a step needs that stays the same through an epoch.

    Attributes:
        describe: images (b, 3, h, w) -> descriptors float32 (b, d) and the features float32 (b, c) that they
            are made of; the network's method or its compiled form.
        optimizer: of the network.
        head: margin head of the group that trains.
        head_optimizer: of the margin head.
        scaler: gradient scaler, disabled unless the precision is fp16 on CUDA.
        precision: of the forward pass.
        device: where images arrive.
        domain: the domain classifier where the trial adapts to a target domain.
        batch: the domains of every batch; None where each is whole and has one target domain at most.
        processes: how many processes do this step together, each with its share.
    """

    describe: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
    optimizer: torch.optim.Optimizer
    head: MarginHead
    head_optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    precision: Precision
    device: torch.device
    domain: DomainStep | None = None
    batch: DomainBatch | None = None
    processes: int = 1

    def __call__(
        self, images: torch.Tensor, labels: torch.Tensor, target: torch.Tensor | None, progress: float
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Train on one batch.

        Source and target images pass through the network as one batch: its BatchNorm then normalises in
        training with the same mixture of domains that its running statistics hold when it is scored.

        Args:
            images: (b, 3, h, w), uint8 or float in [0, 1], on the device.
            labels: int64 (b,), on the device.
            target: target-domain images (t, 3, h, w), domain after domain, or None without domain adaptation.
            progress: fraction of the trial's planned iterations done, in [0, 1).

        Returns:
            The loss, 0-d, and the domain classifier's accuracies (see `DomainLoss`; None without one), on the
            device; those of the whole step where processes share it.

        Raises:
            ExchangeError: another process of the step is gone or does not answer in time.
        """
        batch = self.batch or DomainBatch.whole(len(images), () if target is None else (len(target),))
        with autocast(self.precision, self.device):
            descriptors, features = self.describe(images if target is None else torch.cat([images, target]))
        logits = self.head(descriptors[: len(images)], labels)
        loss = batch.weights[0] * functional.cross_entropy(logits, labels)
        accuracies = None
        if self.domain is not None:
            domain = self.domain.loss(descriptors, features, batch, progress)
            loss = loss + domain.loss
            accuracies = domain.accuracies
        optimizers = self._optimizers()
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        loss = loss.detach()
        if self.processes > 1:
            # Before the scaler looks for infinities, so that all processes see the same ones.
            parameters = [p for adam in optimizers for group in adam.param_groups for p in group["params"]]
            values = [loss, *(() if accuracies is None else accuracies)]
            loss, *summed = sum_over_processes(parameters, values)
            accuracies = torch.stack(summed) if summed else None
        for optimizer in optimizers:
            self.scaler.step(optimizer)
        self.scaler.update()
        return loss, accuracies

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        domain = [] if self.domain is None else [self.domain.optimizer]
        return [self.optimizer, self.head_optimizer, *domain]
