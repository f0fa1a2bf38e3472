from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from vgsearch.config.trial import DomainConfig, TrialConfig
from vgsearch.models.precision import resolve_precision
from vgsearch.training.domain_batch import DomainBatch
from vgsearch.training.parts import TrialParts, build_parts

CPU = torch.device("cpu")
FP32 = resolve_precision("fp32", CPU)


def _parts(trial: TrialConfig, num_classes: int = 6, num_targets: int = 1) -> TrialParts:
    return build_parts(
        trial,
        [num_classes],
        CPU,
        FP32,
        checkpoint=None,
        epoch=0,
        compile_threads=1,
        num_targets=num_targets,
    )


def _batch(seed: int, count: int) -> torch.Tensor:
    return torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(seed))


Named = dict[str, torch.nn.Parameter]


def _trained(parts: TrialParts) -> dict[str, Named]:
    """Everything that learns, by the key of its learning rate."""
    head, _ = parts.classifiers.activate(0)
    network = {name: p for name, p in parts.network.named_parameters() if p.requires_grad}
    domain = {} if parts.domain is None else dict(parts.domain.classifier.named_parameters())
    return {"lr": network, "classifier_lr": dict(head.named_parameters()), "domain.lr": domain}


def _plain_gradients(parts: TrialParts, domain: DomainConfig | None, targets: tuple[int, ...]) -> None:
    """One step's gradients written out: the reversal is a second backward pass with its sign turned."""
    head, _ = parts.classifiers.activate(0)
    images = _batch(0, 4) if domain is None else torch.cat([_batch(0, 4), _batch(1, sum(targets))])
    network = parts.network
    features = network.pooling(functional.normalize(network.backbone(network.normalise(images)), dim=1))
    descriptors = functional.normalize(network.linear(features), dim=1)
    place = functional.cross_entropy(head(descriptors[:4], torch.arange(4)), torch.arange(4))
    place.backward(retain_graph=True)
    if domain is None or parts.domain is None:
        return
    read = features if domain.where == "features" else descriptors
    cut = read.detach().requires_grad_()
    classifier = parts.domain.classifier
    logits = classifier.logits(torch.relu(classifier.hidden(cut)))
    losses = [
        functional.cross_entropy(part, torch.full((len(part),), label))
        for label, part in enumerate(logits.split([4, *targets]))
    ]
    (domain.weight * torch.stack(losses).mean()).backward()
    assert cut.grad is not None
    read.backward(-domain.grl_alpha * cut.grad)


@pytest.mark.parametrize(
    ("domain", "targets"),
    [
        (None, ()),
        (DomainConfig(grl_alpha=0.7, weight=0.5, hidden=8, lr=2e-3), (2,)),
        (DomainConfig(grl_alpha=0.7, where="features", hidden=8), (2,)),
        (DomainConfig(grl_alpha=0.7, where="features", hidden=8), (2, 1, 1)),
    ],
)
def test_equals_a_step_written_out(
    tiny_trial: TrialConfig, domain: DomainConfig | None, targets: tuple[int, ...]
) -> None:
    trial = tiny_trial.model_copy(update={"domain": domain})
    ours, plain = (_parts(trial, num_targets=len(targets)) for _ in range(2))
    target = None if domain is None else _batch(1, sum(targets))
    step = replace(ours.step_on(0, FP32, CPU), batch=DomainBatch.whole(4, targets))
    loss, accuracies = step(_batch(0, 4), torch.arange(4), target, 0.5)
    assert loss.shape == ()
    assert not loss.requires_grad
    assert (accuracies is None) == (domain is None)
    assert accuracies is None or accuracies.shape == (1 + len(targets),)
    _plain_gradients(plain, domain, targets)
    rates = {"lr": trial.lr, "classifier_lr": trial.classifier_lr, "domain.lr": domain.lr if domain else 0}
    for key, parameters in _trained(ours).items():
        expected = _trained(plain)[key]
        if not parameters:
            continue
        largest = max(float(p.grad.abs().max()) for p in expected.values() if p.grad is not None)
        for name, parameter in parameters.items():
            torch.testing.assert_close(
                parameter.grad, expected[name].grad, rtol=1e-4, atol=1e-6 * largest, msg=name
            )
            # A first step of Adam on our own gradient: noise in a tiny one would be blown up otherwise.
            expected[name].grad = parameter.grad
        torch.optim.Adam(expected.values(), lr=rates[key], fused=False, foreach=False).step()
        for name, parameter in parameters.items():
            torch.testing.assert_close(parameter, expected[name], msg=name)


def test_frozen_parameters_stay(tiny_trial: TrialConfig) -> None:
    parts = _parts(tiny_trial)
    before = copy.deepcopy(dict(parts.network.named_parameters()))
    parts.step_on(0, FP32, CPU)(_batch(0, 4), torch.arange(4), _batch(1, 2), 0.5)
    for name, parameter in parts.network.named_parameters():
        assert torch.equal(parameter, before[name]) != parameter.requires_grad, name


def test_a_gradient_scaler_scales_every_optimizer(tiny_trial: TrialConfig) -> None:
    # Powers of two change no digit in float32, so training through a scaler must end at the same weights.
    plain, scaled = _parts(tiny_trial), _parts(tiny_trial)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**12)
    scaled = TrialParts(**{**scaled.__dict__, "scaler": scaler})
    for parts in (plain, scaled):
        step = parts.step_on(0, FP32, CPU)
        for number in range(2):
            step(_batch(number, 4), torch.arange(4), _batch(9, 2), 0.5)
    for name, tensor in plain.network.state_dict().items():
        torch.testing.assert_close(scaled.network.state_dict()[name], tensor, msg=name)
    head, _ = plain.classifiers.activate(0)
    torch.testing.assert_close(scaled.classifiers.activate(0)[0].weight, head.weight)
    assert scaled.training_state(1)["scaler"]["scale"] == 2.0**12


def test_release_gradients(tiny_trial: TrialConfig) -> None:
    parts = _parts(tiny_trial)
    parts.step_on(0, FP32, CPU)(_batch(0, 4), torch.arange(4), _batch(1, 2), 0.5)
    parts.release_gradients()
    assert all(parameter.grad is None for parameter in parts.network.parameters())
    assert parts.domain is not None
    assert all(parameter.grad is None for parameter in parts.domain.classifier.parameters())


@pytest.mark.slow
def test_compiled_training_keeps_names_and_losses(tiny_trial: TrialConfig) -> None:
    losses = {}
    for compiled in (False, True):
        parts = _parts(tiny_trial.model_copy(update={"compile": compiled}))
        step = parts.step_on(0, FP32, CPU)
        losses[compiled] = [
            float(step(_batch(number, 4), torch.arange(4), _batch(9, 2), 0.5)[0]) for number in range(2)
        ]
        assert not any("_orig_mod" in name for name in parts.network.state_dict())
    assert losses[True] == pytest.approx(losses[False], rel=1e-3)
