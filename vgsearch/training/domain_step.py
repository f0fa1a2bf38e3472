"""Domain adaptation in a training step: the domain classifier's loss through a gradient reversal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from vgsearch.config.trial import DomainConfig, TrialConfig
from vgsearch.models.domain_classifier import DomainClassifier, alpha_at
from vgsearch.training.optimizers import build_adam, load_optimizer


@dataclass(frozen=True)
class DomainLoss:
    """What one step learns about the two domains.

    Attributes:
        loss: 0-d tensor, already multiplied by the configured weight; add it to the place loss.
        accuracy: 0-d tensor in [0, 1], the mean of the accuracies on source and on target images. 0.5 means
            that the classifier cannot tell the domains apart.
    """

    loss: torch.Tensor
    accuracy: torch.Tensor


class DomainStep:
    """A classifier that tells source from target descriptors, and its Adam at `domain.lr`.

    Ganin & Lempitsky (ICML 2015): the classifier descends its cross-entropy; behind the reversal the network
    climbs it, `alpha` times as hard. Both domains count alike in the loss whatever their share of the batch.
    The rate is the classifier's own: at the network's 1e-5 it would stay near its random start, and at the
    margin heads' 1e-2 it swings too far to be followed (demo city, alpha 0.5 and 1, one seed each: night R@1
    was lower at 1e-2 than at 1e-3 after each of four epochs).

    With `alpha == 0` nothing is reversed: the classifier trains on detached descriptors, so that its accuracy
    measures the domain gap of a network that ignores it.
    """

    def __init__(self, trial: TrialConfig, domain: DomainConfig, device: torch.device) -> None:
        """Build the classifier on `device` from its own seed."""
        self._domain = domain
        self.classifier = DomainClassifier(trial.descriptor_dim, domain.hidden, seed=trial.seed).to(device)
        self.optimizer = build_adam(self.classifier.parameters(), domain.lr)

    def loss(
        self,
        source: torch.Tensor,
        target: torch.Tensor,
        progress: float,
        *,
        source_weight: float = 1.0,
        target_weight: float = 1.0,
    ) -> DomainLoss:
        """The weighted domain loss of one step, or one process's part of it.

        Args:
            source: descriptors of training images, float32 (b, d), norm 1.
            target: descriptors of target-domain images, float32 (t, d), norm 1.
            progress: fraction of the planned iterations done, in [0, 1).
            source_weight: what part of the step's training images `source` is: where several processes share
                a batch, their losses and accuracies add up to those of the whole batch.
            target_weight: the same of `target`; 0 where it is empty.
        """
        alpha = alpha_at(self._domain, progress)
        descriptors = torch.cat([source, target])
        if alpha == 0:
            descriptors = descriptors.detach()
        logits = self.classifier(descriptors, alpha).float()
        source_logits, target_logits = logits.split([len(source), len(target)])
        cross_entropy = source_weight * _cross_entropy(source_logits, 0)
        accuracy = source_weight * _share_right(source_logits, 0)
        if len(target):
            cross_entropy = cross_entropy + target_weight * _cross_entropy(target_logits, 1)
            accuracy = accuracy + target_weight * _share_right(target_logits, 1)
        return DomainLoss(self._domain.weight * (0.5 * cross_entropy), 0.5 * accuracy)

    def state_dict(self) -> dict[str, Any]:
        """Classifier and optimizer."""
        return {"classifier": self.classifier.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.classifier.load_state_dict(state["classifier"])
        load_optimizer(self.optimizer, state["optimizer"])


def target_batch_size(batch_size: int, domain: DomainConfig) -> int:
    """How many target images go with each training batch, at least 1."""
    return max(1, round(batch_size * domain.batch_fraction))


@torch.no_grad()
def _share_right(logits: torch.Tensor, label: int) -> torch.Tensor:
    """Part of the logit pairs that are on the right side; a tie is half right."""
    return 0.5 * (1 + torch.sign(logits[:, label] - logits[:, 1 - label])).mean()


def _cross_entropy(logits: torch.Tensor, label: int) -> torch.Tensor:
    labels = torch.full((len(logits),), label, dtype=torch.int64, device=logits.device)
    return functional.cross_entropy(logits, labels)
