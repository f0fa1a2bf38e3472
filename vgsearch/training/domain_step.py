"""Domain adaptation in a training step: the domain classifier's loss through a gradient reversal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from vgsearch.config.trial import DomainConfig, TrialConfig
from vgsearch.models.domain_classifier import DomainClassifier, alpha_at
from vgsearch.models.network import DescriptorNetwork
from vgsearch.training.domain_batch import DomainBatch
from vgsearch.training.optimizers import build_adam, load_optimizer


@dataclass(frozen=True)
class DomainLoss:
    """What one step learns about k target domains and the source.

    Attributes:
        loss: 0-d tensor, already multiplied by the configured weight; add it to the place loss.
        accuracies: in [0, 1], shape (1 + k,): of the source images and of each target domain's. Their mean is
            1 / (1 + k) where the classifier cannot tell the domains apart, however many images each has.
    """

    loss: torch.Tensor
    accuracies: torch.Tensor


class DomainStep:
    """A classifier that tells the source from k target domains, and its Adam at `domain.lr`.

    Ganin & Lempitsky (ICML 2015): the classifier descends its cross-entropy; behind the reversal the network
    climbs it, `alpha` times as hard. All domains count alike in the loss whatever their share of the batch.
    It reads descriptors, or with `where: features` what pooling makes of the backbone's map, so that the
    linear layer is left to the places alone.
    The rate is the classifier's own: at the network's 1e-5 it would stay near its random start, and at the
    margin heads' 1e-2 it swings too far to be followed (demo city, alpha 0.5 and 1, one seed each: night R@1
    was lower at 1e-2 than at 1e-3 after each of four epochs).

    With `alpha == 0` nothing is reversed: the classifier trains on detached inputs, so that its accuracy
    measures the domain gap of a network that ignores it.
    """

    def __init__(
        self, in_features: int, num_targets: int, domain: DomainConfig, *, seed: int, device: torch.device
    ) -> None:
        """Build the classifier on `device` from the trial's seed; see `build_domain_step`."""
        self._domain = domain
        classifier = DomainClassifier(in_features, domain.hidden, seed=seed, num_targets=num_targets)
        self.classifier = classifier.to(device)
        self.optimizer = build_adam(self.classifier.parameters(), domain.lr)

    def loss(
        self, descriptors: torch.Tensor, features: torch.Tensor, batch: DomainBatch, progress: float
    ) -> DomainLoss:
        """The weighted domain loss of one step, or one process's part of it.

        Args:
            descriptors: float32 (b, d), norm 1, of the source images, then of each target domain's in turn.
            features: what they were made of, float32 (b, c).
            batch: which of the b images belong to which domain.
            progress: fraction of the planned iterations done, in [0, 1).
        """
        inputs = features if self._domain.where == "features" else descriptors
        alpha = alpha_at(self._domain, progress)
        logits = self.classifier(inputs.detach() if alpha == 0 else inputs, alpha).float()
        cross_entropy, accuracies = _zero(logits), [_zero(logits)] * len(batch.counts)
        for label, part in enumerate(logits.split(batch.counts)):
            if len(part):
                cross_entropy = cross_entropy + batch.weights[label] * _cross_entropy(part, label)
                accuracies[label] = batch.weights[label] * _share_right(part, label)
        mean = cross_entropy / len(batch.counts)
        return DomainLoss(self._domain.weight * mean, torch.stack(accuracies))

    def state_dict(self) -> dict[str, Any]:
        """Classifier and optimizer."""
        return {"classifier": self.classifier.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.classifier.load_state_dict(state["classifier"])
        load_optimizer(self.optimizer, state["optimizer"])


def build_domain_step(
    trial: TrialConfig, network: DescriptorNetwork, num_targets: int, device: torch.device
) -> DomainStep | None:
    """The domain adaptation of a trial on `device`; None for a trial without a domain classifier.

    Args:
        trial: the decided values.
        network: whose descriptors or features are classified.
        num_targets: how many target domains there are.
        device: of the network.
    """
    domain = trial.domain
    if domain is None or domain.placement == "inline":
        return None
    features = network.linear.in_features if domain.where == "features" else trial.descriptor_dim
    return DomainStep(features, num_targets, domain, seed=trial.seed, device=device)


@torch.no_grad()
def _share_right(logits: torch.Tensor, label: int) -> torch.Tensor:
    """Part of the rows, float (b, n), whose highest logit is the label's; a tie of m is right by 1/m."""
    highest = logits == logits.amax(dim=1, keepdim=True)
    return (highest[:, label] / highest.sum(dim=1)).mean()


def _cross_entropy(logits: torch.Tensor, label: int) -> torch.Tensor:
    labels = torch.full((len(logits),), label, dtype=torch.int64, device=logits.device)
    return functional.cross_entropy(logits, labels)


def _zero(like: torch.Tensor) -> torch.Tensor:
    return torch.zeros((), dtype=like.dtype, device=like.device)
