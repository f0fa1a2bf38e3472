"""The classifier that tells domains apart by what the network makes of images, trained against it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from vgsearch.config.trial import DomainConfig
from vgsearch.models.gradient_reversal import reverse_gradient
from vgsearch.models.seeding import part_generator


class DomainClassifier(nn.Module):
    """Two linear layers behind a gradient reversal (Ganin & Lempitsky, ICML 2015).

    Logit 0 speaks for the source domain (training photos), logit i for target domain i, from 1.
    """

    def __init__(self, in_features: int, hidden: int, *, seed: int, num_targets: int = 1) -> None:
        """Draw the weights from `seed` alone.

        Args:
            in_features: Length of what is classified: a descriptor, or the pooled features.
            hidden: Width of the hidden layer.
            seed: Seed of the initial weights.
            num_targets: How many target domains there are, at least 1.
        """
        super().__init__()
        generator = part_generator(seed, "domain_classifier")
        self.hidden = seeded_linear(in_features, hidden, generator)
        self.logits = seeded_linear(hidden, 1 + num_targets, generator)

    def forward(self, inputs: Tensor, alpha: float | Tensor) -> Tensor:
        """Classify images by domain.

        Args:
            inputs: Tensor with shape (b, in_features).
            alpha: Strength of the reversal; the inputs receive `-alpha` times the gradient.

        Returns:
            float32 logits with shape (b, 1 + num_targets), computed in float32 under autocast too.
        """
        with torch.autocast(inputs.device.type, enabled=False):
            reversed_ = reverse_gradient(inputs.to(self.hidden.weight.dtype), alpha)
            logits: Tensor = self.logits(torch.relu(self.hidden(reversed_)))
        return logits


def seeded_linear(in_features: int, out_features: int, generator: torch.Generator) -> nn.Linear:
    """Linear layer with torch's default distribution, U(-1/sqrt(in), 1/sqrt(in)), drawn from `generator`."""
    # Through the meta device, so that nothing is drawn from the global generator.
    linear = nn.Linear(in_features, out_features, device="meta").to_empty(device="cpu")
    bound = 1.0 / math.sqrt(in_features)
    with torch.no_grad():
        linear.weight.uniform_(-bound, bound, generator=generator)
        linear.bias.uniform_(-bound, bound, generator=generator)
    return linear


def alpha_at(domain: DomainConfig, progress: float) -> float:
    """Reversal strength after a fraction of the planned iterations.

    Args:
        domain: `schedule` is `constant` or `ramp`: alpha * (2 / (1 + exp(-10 p)) - 1), the schedule of
            Ganin & Lempitsky.
        progress: Fraction p of planned iterations done; clamped to [0, 1].

    Returns:
        Strength in [0, `domain.grl_alpha`].
    """
    if domain.schedule == "constant":
        return domain.grl_alpha
    p = min(max(progress, 0.0), 1.0)
    return domain.grl_alpha * (2.0 / (1.0 + math.exp(-10.0 * p)) - 1.0)
