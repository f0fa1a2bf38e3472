"""One training step: forward in the chosen precision, place and domain losses, backward, three optimizers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional

from vgsearch.models.margin_head import MarginHead
from vgsearch.models.precision import Precision, autocast
from vgsearch.training.domain_step import DomainStep


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
    """

    forward: Callable[[torch.Tensor], torch.Tensor]
    optimizer: torch.optim.Optimizer
    head: MarginHead
    head_optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    precision: Precision
    device: torch.device
    domain: DomainStep | None = None

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
            The loss and the domain classifier's accuracy (None without one), as 0-d tensors on the device.
        """
        batch = images if target is None else torch.cat([images, target])
        with autocast(self.precision, self.device):
            descriptors = self.forward(batch)
        source = descriptors[: len(images)]
        loss = functional.cross_entropy(self.head(source, labels), labels)
        accuracy = None
        if self.domain is not None:
            domain = self.domain.loss(source, descriptors[len(images) :], progress)
            loss = loss + domain.loss
            accuracy = domain.accuracy
        optimizers = self._optimizers()
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        for optimizer in optimizers:
            self.scaler.step(optimizer)
        self.scaler.update()
        return loss.detach(), accuracy

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        domain = [] if self.domain is None else [self.domain.optimizer]
        return [self.optimizer, self.head_optimizer, *domain]
