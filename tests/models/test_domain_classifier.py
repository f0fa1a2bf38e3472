from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from vgsearch.config.trial import DomainConfig
from vgsearch.models.domain_classifier import DomainClassifier, alpha_at, seeded_linear


@pytest.mark.usefixtures("unchanged_global_draws")
def test_seed_decides_the_weights() -> None:
    first, again, other = (DomainClassifier(8, 4, seed=seed) for seed in (1, 1, 2))
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])
        assert not torch.equal(tensor, other.state_dict()[name])


def test_reversal_reaches_the_descriptors_but_not_the_classifier() -> None:
    classifier = DomainClassifier(8, 4, seed=0).double()
    descriptors = torch.randn(6, 8, dtype=torch.float64, requires_grad=True)
    domains = torch.tensor([0, 0, 0, 1, 1, 1])

    F.cross_entropy(classifier(descriptors, 0.3), domains).backward()
    assert descriptors.grad is not None
    assert classifier.hidden.weight.grad is not None
    reversed_, of_weight = descriptors.grad.clone(), classifier.hidden.weight.grad.clone()
    descriptors.grad = classifier.hidden.weight.grad = None

    plain = classifier.logits(torch.relu(classifier.hidden(descriptors)))
    F.cross_entropy(plain, domains).backward()
    torch.testing.assert_close(reversed_, -0.3 * descriptors.grad, rtol=1e-6, atol=1e-12)
    torch.testing.assert_close(of_weight, classifier.hidden.weight.grad)


def test_logits_are_float32_under_autocast() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = DomainClassifier(8, 4, seed=0)(torch.randn(2, 8).bfloat16(), 0.3)
    assert logits.shape == (2, 2)
    assert logits.dtype == torch.float32


@pytest.mark.parametrize("num_targets", [1, 2, 5])
def test_an_output_for_the_source_and_each_target(num_targets: int) -> None:
    classifier = DomainClassifier(8, 4, seed=0, num_targets=num_targets)
    assert classifier(torch.randn(3, 8), 0.3).shape == (3, 1 + num_targets)


def test_linear_has_the_distribution_of_torchs_own() -> None:
    linear = seeded_linear(64, 400, torch.Generator().manual_seed(0))
    bound = 1 / math.sqrt(64)
    for values in (linear.weight, linear.bias):
        assert values.abs().max() <= bound
        assert values.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)


def test_constant_schedule() -> None:
    assert {alpha_at(DomainConfig(grl_alpha=0.3), p / 4) for p in range(5)} == {0.3}


def test_ramp_schedule() -> None:
    ramp = DomainConfig(grl_alpha=0.6, schedule="ramp")
    assert alpha_at(ramp, 0.0) == 0.0
    assert alpha_at(ramp, 0.25) == pytest.approx(
        0.6 * math.tanh(5 * 0.25)
    )  # the same curve, written otherwise
    assert alpha_at(ramp, 1.0) == pytest.approx(0.6, rel=1e-4)
    assert alpha_at(ramp, 7.0) == alpha_at(ramp, 1.0)
    values = [alpha_at(ramp, p / 20) for p in range(21)]
    assert values == sorted(values)
