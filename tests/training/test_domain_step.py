from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from vgsearch.config.trial import DomainConfig, TrialConfig
from vgsearch.training.domain_step import DomainStep, target_batch_size

CPU = torch.device("cpu")


def _descriptors(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(count, 32, generator=generator)).requires_grad_()


def _step(trial: TrialConfig, **settings: object) -> DomainStep:
    return DomainStep(trial, DomainConfig.model_validate({"hidden": 8, **settings}), CPU)


def _plain_loss(step: DomainStep, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Each domain's mean negative log-probability, by hand, without any reversal."""
    means = []
    for descriptors, label in ((source, 0), (target, 1)):
        hidden = torch.relu(descriptors @ step.classifier.hidden.weight.T + step.classifier.hidden.bias)
        logits = hidden @ step.classifier.logits.weight.T + step.classifier.logits.bias
        probabilities = logits.exp() / logits.exp().sum(dim=1, keepdim=True)
        means.append(-probabilities[:, label].log().mean())
    return (means[0] + means[1]) / 2


@pytest.mark.parametrize(
    ("settings", "progress", "alpha"),
    [
        ({"grl_alpha": 0.3}, 0.9, 0.3),
        ({"grl_alpha": 0.3, "schedule": "ramp"}, 0.25, 0.3 * (2 / (1 + math.exp(-2.5)) - 1)),
    ],
)
def test_network_climbs_and_classifier_descends(
    tiny_trial: TrialConfig, settings: dict[str, object], progress: float, alpha: float
) -> None:
    step = _step(tiny_trial, weight=0.5, **settings)
    source, target = _descriptors(6, 0), _descriptors(3, 1)
    weight = step.classifier.hidden.weight
    plain = torch.autograd.grad(_plain_loss(step, source, target), [source, target, weight])
    domain = step.loss(source, target, progress)
    ours = torch.autograd.grad(domain.loss, [source, target, weight])
    torch.testing.assert_close(domain.loss, 0.5 * _plain_loss(step, source, target))
    for gradient, expected in zip(ours[:2], plain[:2], strict=True):
        torch.testing.assert_close(gradient, -alpha * 0.5 * expected)
    torch.testing.assert_close(ours[2], 0.5 * plain[2])


@pytest.mark.parametrize("targets", [3, 1])
def test_losses_of_shares_add_up(tiny_trial: TrialConfig, targets: int) -> None:
    step = _step(tiny_trial, grl_alpha=0.4, weight=0.7)
    source, target = _descriptors(5, 0), _descriptors(targets, 1)
    whole = step.loss(source, target, 0.0)
    parts = [
        step.loss(source[:3], target[:2], 0.0, source_weight=3 / 5, target_weight=min(2, targets) / targets),
        step.loss(
            source[3:], target[2:], 0.0, source_weight=2 / 5, target_weight=max(0, targets - 2) / targets
        ),
    ]
    torch.testing.assert_close(parts[0].loss + parts[1].loss, whole.loss)
    torch.testing.assert_close(parts[0].accuracy + parts[1].accuracy, whole.accuracy)
    inputs = [source, target, *step.classifier.parameters()]
    expected = torch.autograd.grad(whole.loss, inputs)
    for gradient, plain in zip(
        torch.autograd.grad(parts[0].loss + parts[1].loss, inputs), expected, strict=True
    ):
        torch.testing.assert_close(gradient, plain)


def test_alpha_zero_trains_the_classifier_and_nothing_else(tiny_trial: TrialConfig) -> None:
    step = _step(tiny_trial, grl_alpha=0.0)
    source, target = _descriptors(4, 0), _descriptors(4, 1)
    step.loss(source, target, 0.0).loss.backward()
    assert source.grad is None
    assert target.grad is None
    assert step.classifier.hidden.weight.grad is not None


def test_accuracy_weighs_both_domains_alike(tiny_trial: TrialConfig) -> None:
    step = _step(tiny_trial)
    with torch.no_grad():
        for parameter in step.classifier.parameters():
            parameter.zero_()
        step.classifier.logits.bias.copy_(torch.tensor([1.0, 0.0]))  # says "source" to everything
    assert float(step.loss(_descriptors(9, 0), _descriptors(3, 1), 0.0).accuracy) == 0.5
    with torch.no_grad():
        step.classifier.logits.bias.zero_()  # undecided
    assert float(step.loss(_descriptors(9, 0), _descriptors(3, 1), 0.0).accuracy) == 0.5


def test_classifier_learns_separable_domains(tiny_trial: TrialConfig) -> None:
    step = _step(tiny_trial, grl_alpha=0.0, lr=1e-2)
    source, target = _descriptors(16, 0).detach(), _descriptors(16, 1).detach()
    source[:, 0], target[:, 0] = 0.5, -0.5
    for _ in range(40):
        domain = step.loss(source, target, 0.0)
        step.optimizer.zero_grad()
        domain.loss.backward()
        step.optimizer.step()
    assert float(domain.accuracy) == 1.0


@pytest.mark.parametrize(("batch", "fraction", "expected"), [(32, 0.5, 16), (8, 1.5, 12), (2, 0.1, 1)])
def test_target_batch_size(batch: int, fraction: float, expected: int) -> None:
    assert target_batch_size(batch, DomainConfig(batch_fraction=fraction)) == expected
