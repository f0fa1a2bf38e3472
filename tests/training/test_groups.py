from __future__ import annotations

import io

import pytest
import torch

from vgsearch.config.trial import TrialConfig
from vgsearch.errors import CheckpointError
from vgsearch.training.groups import GroupClassifiers

CPU = torch.device("cpu")


def _train(classifiers: GroupClassifiers, group: int) -> None:
    head, adam = classifiers.activate(group)
    generator = torch.Generator().manual_seed(group)
    descriptors = torch.nn.functional.normalize(torch.randn(4, 32, generator=generator))
    adam.zero_grad()
    torch.nn.functional.cross_entropy(head(descriptors, torch.arange(4)), torch.arange(4)).backward()
    adam.step()


def _weights(classifiers: GroupClassifiers, group: int) -> torch.Tensor:
    return classifiers.activate(group)[0].weight.detach().clone()


def test_heads_do_not_depend_on_the_order_in_which_they_are_built(tiny_trial: TrialConfig) -> None:
    forward, backward = (GroupClassifiers(tiny_trial, [5, 6], CPU) for _ in range(2))
    first = [_weights(forward, group) for group in (0, 1)]
    second = [_weights(backward, group) for group in (1, 0)][::-1]
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert [tuple(weight.shape) for weight in first] == [(5, 32), (6, 32)]
    assert not torch.equal(first[0][:5], first[1][:5])


def test_training_one_group_leaves_the_others(tiny_trial: TrialConfig) -> None:
    classifiers = GroupClassifiers(tiny_trial, [5, 6], CPU)
    before = _weights(classifiers, 1)
    _train(classifiers, 0)
    assert torch.equal(_weights(classifiers, 1), before)


def test_state_round_trip_continues_alike(tiny_trial: TrialConfig) -> None:
    original = GroupClassifiers(tiny_trial, [5, 6], CPU)
    _train(original, 0)
    file = io.BytesIO()
    torch.save(original.state_dict(), file)
    file.seek(0)
    resumed = GroupClassifiers(tiny_trial, [5, 6], CPU)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for group in (0, 1):
        _train(original, group)
        _train(resumed, group)
        assert torch.equal(_weights(original, group), _weights(resumed, group))


def test_other_classes_are_refused(tiny_trial: TrialConfig) -> None:
    state = GroupClassifiers(tiny_trial, [5, 6], CPU).state_dict()
    with pytest.raises(CheckpointError, match=r"\[5, 6\] classes per group.*gives \[5, 7\]"):
        GroupClassifiers(tiny_trial, [5, 7], CPU).load_state_dict(state)


def test_release_gradients(tiny_trial: TrialConfig) -> None:
    classifiers = GroupClassifiers(tiny_trial, [5], CPU)
    _train(classifiers, 0)
    classifiers.release_gradients()
    assert classifiers.activate(0)[0].weight.grad is None
