from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from vgsearch.config.trial import DomainConfig, TrialConfig
from vgsearch.models.network import build_network
from vgsearch.training.domain_batch import DomainBatch
from vgsearch.training.domain_step import DomainStep, build_domain_step

CPU = torch.device("cpu")
WIDTH = 32


def _descriptors(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(count, WIDTH, generator=generator)).requires_grad_()


def _step(num_targets: int = 1, **settings: object) -> DomainStep:
    config = DomainConfig.model_validate({"hidden": 8, **settings})
    return DomainStep(WIDTH, num_targets, config, seed=0, device=CPU)


def _plain_loss(step: DomainStep, domains: list[torch.Tensor]) -> torch.Tensor:
    """Each domain's mean negative log-probability, by hand, without any reversal."""
    means = []
    for label, descriptors in enumerate(domains):
        hidden = torch.relu(descriptors @ step.classifier.hidden.weight.T + step.classifier.hidden.bias)
        logits = hidden @ step.classifier.logits.weight.T + step.classifier.logits.bias
        probabilities = logits.exp() / logits.exp().sum(dim=1, keepdim=True)
        means.append(-probabilities[:, label].log().mean())
    return sum(means, torch.zeros(())) / len(means)


@pytest.mark.parametrize(
    ("settings", "progress", "alpha"),
    [
        ({"grl_alpha": 0.3}, 0.9, 0.3),
        ({"grl_alpha": 0.3, "schedule": "ramp"}, 0.25, 0.3 * (2 / (1 + math.exp(-2.5)) - 1)),
        ({"grl_alpha": 1.7, "where": "features"}, 0.5, 1.7),
    ],
)
@pytest.mark.parametrize("counts", [(6, 3), (6, 3, 1, 2)])
def test_network_climbs_and_classifier_descends(
    counts: tuple[int, ...], settings: dict[str, object], progress: float, alpha: float
) -> None:
    step = _step(len(counts) - 1, weight=0.5, **settings)
    domains = [_descriptors(count, seed) for seed, count in enumerate(counts)]
    weight = step.classifier.hidden.weight
    plain = torch.autograd.grad(_plain_loss(step, domains), [*domains, weight])
    read, ignored = torch.cat(domains), torch.zeros(sum(counts), WIDTH)
    pair = (ignored, read) if settings.get("where") == "features" else (read, ignored)
    domain = step.loss(*pair, DomainBatch.whole(counts[0], counts[1:]), progress)
    ours = torch.autograd.grad(domain.loss, [*domains, weight])
    torch.testing.assert_close(domain.loss, 0.5 * _plain_loss(step, domains))
    for gradient, expected in zip(ours[:-1], plain[:-1], strict=True):
        torch.testing.assert_close(gradient, -alpha * 0.5 * expected)
    torch.testing.assert_close(ours[-1], 0.5 * plain[-1])


def test_the_gradient_is_ganins_by_finite_differences() -> None:
    # theta_f takes dL_y / dtheta_f - alpha dL_d / dtheta_f: one extractor, in NumPy and in float64.
    rng = np.random.default_rng(0)
    alpha, counts = 0.6, (5, 3, 2)
    images, extractor, place = rng.normal(size=(10, 7)), rng.normal(size=(7, WIDTH)), rng.normal(size=WIDTH)
    step = _step(2, grl_alpha=alpha)
    weights = [p.detach().double().numpy() for p in step.classifier.parameters()]

    def described(theta: np.ndarray) -> np.ndarray:
        raw = images @ theta
        return raw / np.linalg.norm(raw, axis=1, keepdims=True)

    def place_loss(theta: np.ndarray) -> float:
        return float((described(theta)[: counts[0]] @ place).mean())

    def domain_loss(theta: np.ndarray) -> float:
        hidden = np.maximum(described(theta) @ weights[0].T + weights[1], 0)
        logits = hidden @ weights[2].T + weights[3]
        log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        labels = np.repeat(np.arange(3), counts)
        return float(np.mean([-log_p[labels == d, d].mean() for d in range(3)]))

    theta = torch.tensor(extractor, dtype=torch.float32, requires_grad=True)
    descriptors = functional.normalize(torch.tensor(images, dtype=torch.float32) @ theta)
    loss = (descriptors[: counts[0]] @ torch.tensor(place, dtype=torch.float32)).mean()
    batch = DomainBatch.whole(counts[0], counts[1:])
    (loss + step.loss(descriptors, descriptors, batch, 0.0).loss).backward()
    assert theta.grad is not None
    for row, column in ((0, 0), (3, 9), (6, 31), (2, 17)):
        moved = np.zeros_like(extractor)
        moved[row, column] = 1e-5
        of_place, of_domain = (
            (f(extractor + moved) - f(extractor - moved)) / 2e-5 for f in (place_loss, domain_loss)
        )
        assert abs(of_domain) > 1e-5, "the domain loss takes part here"
        assert float(theta.grad[row, column]) == pytest.approx(of_place - alpha * of_domain, rel=1e-3)


@pytest.mark.parametrize("second", [(2, 1, 2), (2, 3, 0)])
def test_losses_of_shares_add_up(second: tuple[int, ...]) -> None:
    step = _step(2, grl_alpha=0.4, weight=0.7)
    counts = (5, 3, 2)
    domains = [_descriptors(count, seed) for seed, count in enumerate(counts)]
    first = tuple(a - b for a, b in zip(counts, second, strict=True))
    whole = step.loss(torch.cat(domains), torch.empty(0), DomainBatch.whole(5, (3, 2)), 0.0)
    cut = [domain.split([a, b]) for domain, a, b in zip(domains, first, second, strict=True)]
    parts = []
    for rank, own in enumerate((first, second)):
        batch = DomainBatch(own, tuple(a / b for a, b in zip(own, counts, strict=True)))
        parts.append(step.loss(torch.cat([pair[rank] for pair in cut]), torch.empty(0), batch, 0.0))
    torch.testing.assert_close(parts[0].loss + parts[1].loss, whole.loss)
    torch.testing.assert_close(parts[0].accuracies + parts[1].accuracies, whole.accuracies)
    inputs = [*domains, *step.classifier.parameters()]
    expected = torch.autograd.grad(whole.loss, inputs)
    for gradient, plain in zip(
        torch.autograd.grad(parts[0].loss + parts[1].loss, inputs), expected, strict=True
    ):
        torch.testing.assert_close(gradient, plain)


@pytest.mark.parametrize("where", ["descriptor", "features"])
def test_alpha_zero_trains_the_classifier_and_nothing_else(where: str) -> None:
    step = _step(grl_alpha=0.0, where=where)
    inputs = _descriptors(8, 0)
    step.loss(inputs, inputs, DomainBatch.whole(4, (4,)), 0.0).loss.backward()
    assert inputs.grad is None
    assert step.classifier.hidden.weight.grad is not None


@pytest.mark.parametrize("targets", [(3,), (3, 1), (2, 2, 5)])
def test_accuracies_average_to_chance_for_a_classifier_that_knows_nothing(targets: tuple[int, ...]) -> None:
    step = _step(len(targets))
    batch = DomainBatch.whole(9, targets)
    descriptors = _descriptors(9 + sum(targets), 0)
    with torch.no_grad():
        for parameter in step.classifier.parameters():
            parameter.zero_()
        undecided = step.loss(descriptors, descriptors, batch, 0.0).accuracies
        step.classifier.logits.bias[0] = 1.0  # says "source" to everything
        always_source = step.loss(descriptors, descriptors, batch, 0.0).accuracies
    chance = 1 / (1 + len(targets))
    torch.testing.assert_close(undecided, torch.full((1 + len(targets),), chance))
    assert always_source.tolist() == [1.0] + [0.0] * len(targets)
    assert float(always_source.mean()) == pytest.approx(chance)


def test_accuracies_are_the_recalls_of_the_domains() -> None:
    step = _step(2)
    counts = (7, 4, 5)
    descriptors = _descriptors(16, 3)
    found = step.loss(descriptors, descriptors, DomainBatch.whole(7, (4, 5)), 0.0).accuracies
    said = step.classifier(descriptors, 0.0).argmax(dim=1).tolist()
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    for label, count in enumerate(counts):
        right = sum(a == b == label for a, b in zip(said, labels, strict=True))
        assert float(found[label]) == pytest.approx(right / count)


def test_classifier_learns_separable_domains() -> None:
    step = _step(2, grl_alpha=0.0, lr=1e-2)
    descriptors = torch.cat([_descriptors(16, seed).detach() for seed in range(3)])
    for domain in range(3):
        descriptors[16 * domain : 16 * (domain + 1), domain] = 0.8
    for _ in range(80):
        domain = step.loss(descriptors, descriptors, DomainBatch.whole(16, (16, 16)), 0.0)
        step.optimizer.zero_grad()
        domain.loss.backward()
        step.optimizer.step()
    assert domain.accuracies.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("domain", "width"),
    [(None, None), ({"placement": "inline"}, None), ({}, 32), ({"where": "features"}, 256)],
)
def test_what_the_classifier_reads(
    tiny_trial: TrialConfig, domain: dict[str, str] | None, width: int | None
) -> None:
    trial = TrialConfig.model_validate({**tiny_trial.model_dump(), "domain": domain})
    network = build_network(trial)
    step = build_domain_step(trial, network, 2, CPU)
    if width is None:
        assert step is None
    else:
        assert step is not None
        assert step.classifier.hidden.in_features == width
        assert step.classifier.logits.out_features == 3
        assert network.describe(torch.rand(2, 3, 64, 64))[1 if domain else 0].shape == (2, width)
