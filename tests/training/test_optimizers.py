from __future__ import annotations

import copy

import pytest
import torch

from vgsearch.training.optimizers import build_adam, load_optimizer, move_optimizer


def _conv(channels_last: bool) -> torch.nn.Conv2d:
    conv = torch.nn.Conv2d(3, 4, 3)
    with torch.no_grad():
        for parameter in conv.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    return conv.to(memory_format=torch.channels_last) if channels_last else conv  # type: ignore[call-overload]


def _step(conv: torch.nn.Conv2d, optimizer: torch.optim.Optimizer, seed: int) -> None:
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    optimizer.zero_grad()
    conv(images).pow(2).mean().backward()
    optimizer.step()


@pytest.mark.parametrize("channels_last", [False, True])
def test_equals_plain_adam(channels_last: bool) -> None:
    ours, plain = _conv(channels_last), _conv(False)
    adam = build_adam(ours.parameters(), 1e-2)
    reference = torch.optim.Adam(plain.parameters(), lr=1e-2, fused=False, foreach=False)
    for seed in range(4):
        _step(ours, adam, seed)
        _step(plain, reference, seed)
    torch.testing.assert_close(ours.weight, plain.weight, check_stride=False)


@pytest.mark.parametrize(("before", "after"), [(True, False), (False, True)])
def test_moments_follow_the_layout_of_the_parameter(before: bool, after: bool) -> None:
    saved = _conv(before)
    adam = build_adam(saved.parameters(), 1e-2)
    _step(saved, adam, 0)
    state = copy.deepcopy(adam.state_dict())
    resumed = _conv(after)
    resumed.load_state_dict(saved.state_dict())
    resumed_adam = build_adam(resumed.parameters(), 1e-2)
    load_optimizer(resumed_adam, state)
    for seed in (1, 2):
        _step(saved, adam, seed)
        _step(resumed, resumed_adam, seed)
    torch.testing.assert_close(resumed.weight, saved.weight, check_stride=False)


def test_move_keeps_the_state() -> None:
    conv = _conv(True)
    adam = build_adam(conv.parameters(), 1e-2)
    _step(conv, adam, 0)
    before = copy.deepcopy(adam.state_dict()["state"])
    move_optimizer(adam, torch.device("cpu"))
    after = adam.state_dict()["state"]
    for index, state in before.items():
        for key, value in state.items():
            assert torch.equal(after[index][key], value)
