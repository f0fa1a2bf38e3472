from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from vgsearch.config.search import DataConfig, TrialSpec
from vgsearch.config.trial import TrialConfig


@pytest.fixture
def tiny_trial() -> TrialConfig:
    """A ResNet of half a million parameters, with random weights."""
    return TrialConfig(backbone="test_resnet", weights="none", descriptor_dim=16, image_px=64, seed=3)


@pytest.fixture
def tiny_spec(tiny_trial: TrialConfig) -> TrialSpec:
    return TrialSpec(
        search="unit", uid="abc", trial=tiny_trial, data=DataConfig(train="/data/train", val="/data/val")
    )


@pytest.fixture
def unchanged_global_draws() -> Iterator[None]:
    """Fail the test if it moved torch's global generator."""
    before = torch.get_rng_state()
    yield
    assert torch.equal(torch.get_rng_state(), before)
