"""One training step: forward in the chosen precision, place and domain losses, backward, three optimizers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional

from vgsearch.models.margin_head import MarginHead
from vgsearch.models.precision import Precision, autocast
from vgsearch.training.domain_step import DomainStep
from vgsearch.training.gradient_sum import sum_over_processes


@dataclass(frozen=True)
class TrainingStep:
    """Everything a step needs that stays the same through an epoch.

    Attributes:
        forward: images (b, 3, h, w) -> descriptors float32 (b, d); the network or its compiled form.
        optimizer: of the network.
        head: margin head of the group that trains.
        head_optimizer: of the margin head.
        scaler: gradient scaler, disabled unless the precision is fp16 on CUDA.
        precision: of the forward pass.
        device: where images arrive.
        domain: the domain classifier where the trial adapts to a target domain.
        source_weight: what part of the step's training images each batch is: below 1 where processes share
            it.
        target_weight: the same of the target-domain images.
        processes: how many processes do this step together, each with its share.
    """

    forward: Callable[[torch.Tensor], torch.Tensor]
    optimizer: torch.optim.Optimizer
    head: MarginHead
    head_optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    precision: Precision
    device: torch.device
    domain: DomainStep | None = None
    source_weight: float = 1.0
    target_weight: float = 1.0
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
            target: target-domain images (t, 3, h, w), or None without domain adaptation.
            progress: fraction of the trial's planned iterations done, in [0, 1).

        Returns:
            The loss and the domain classifier's accuracy (None without one), as 0-d tensors on the device;
            those of the whole step where processes share it.

        Raises:
            ExchangeError: another process of the step is gone or does not answer in time.
        """
        batch = images if target is None else torch.cat([images, target])
        with autocast(self.precision, self.device):
            descriptors = self.forward(batch)
        source = descriptors[: len(images)]
        loss = self.source_weight * functional.cross_entropy(self.head(source, labels), labels)
        accuracy = None
        if self.domain is not None:
            domain = self.domain.loss(
                source,
                descriptors[len(images) :],
                progress,
                source_weight=self.source_weight,
                target_weight=self.target_weight,
            )
            loss = loss + domain.loss
            accuracy = domain.accuracy
        optimizers = self._optimizers()
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        loss = loss.detach()
        if self.processes > 1:
            # Before the scaler looks for infinities, so that all processes see the same ones.
            parameters = [p for adam in optimizers for group in adam.param_groups for p in group["params"]]
            values = [loss] if accuracy is None else [loss, accuracy]
            loss, *accuracies = sum_over_processes(parameters, values)
            accuracy = accuracies[0] if accuracies else None
        for optimizer in optimizers:
            self.scaler.step(optimizer)
        self.scaler.update()
        return loss, accuracy

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        domain = [] if self.domain is None else [self.domain.optimizer]
        return [self.optimizer, self.head_optimizer, *domain]
