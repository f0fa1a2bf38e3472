from __future__ import annotations

import hashlib

import pytest
import torch

from vgsearch.config.losses import ArcFaceConfig
from vgsearch.config.trial import DomainConfig, TrialConfig
from vgsearch.models.architecture import (
    architecture_hash,
    describe_architecture,
    require_uncompiled,
    weights_hash,
)
from vgsearch.models.network import build_network


def hash_of(trial: TrialConfig, **changes: object) -> str:
    changed = trial.model_copy(update=changes)
    return architecture_hash(build_network(changed), changed)


def test_what_is_trained_how_does_not_matter(tiny_trial: TrialConfig) -> None:
    expected = hash_of(tiny_trial)
    assert len(expected) == 64
    assert expected == hash_of(
        tiny_trial,
        seed=9,
        trainable_stages=4,
        frozen_bn="batch",
        lr=0.5,
        image_px=96,
        loss=ArcFaceConfig(name="arcface"),
        domain=DomainConfig(placement="inline"),
    )
    for where in ("descriptor", "features"):
        assert expected == hash_of(tiny_trial, domain=DomainConfig(where=where))


def test_what_is_computed_does_matter(tiny_trial: TrialConfig) -> None:
    hashes = {
        hash_of(tiny_trial),
        hash_of(tiny_trial, descriptor_dim=8),
        hash_of(tiny_trial, backbone="test_efficientnet"),
        hash_of(tiny_trial, backbone="efficientnet_lite0"),
        hash_of(tiny_trial, backbone="tf_efficientnet_lite0"),
    }
    assert len(hashes) == 5


def test_same_tensors_with_other_padding_differ(tiny_trial: TrialConfig) -> None:
    shapes = []
    for name in ("efficientnet_lite0", "tf_efficientnet_lite0"):
        network = build_network(tiny_trial.model_copy(update={"backbone": name}))
        shapes.append({key: tensor.shape for key, tensor in network.state_dict().items()})
    assert shapes[0] == shapes[1]


def test_in_words(tiny_trial: TrialConfig) -> None:
    assert describe_architecture(tiny_trial) == "test_resnet + gem + 16"


def test_weights_hash_is_of_sorted_names_and_values() -> None:
    weights = {"b": torch.tensor([1, 2]), "a": torch.tensor([[0.5], [1.0]])}
    by_hand = hashlib.sha256()
    by_hand.update(b"a|torch.float32|(2, 1)|" + weights["a"].numpy().tobytes())
    by_hand.update(b"b|torch.int64|(2,)|" + weights["b"].numpy().tobytes())
    assert weights_hash(weights) == by_hand.hexdigest()
    assert weights_hash(dict(reversed(weights.items()))) == by_hand.hexdigest()


def test_weights_hash_ignores_the_memory_format_only() -> None:
    images = torch.randn(2, 3, 4, 5)
    reordered = images.contiguous(memory_format=torch.channels_last)
    assert weights_hash({"x": images}) == weights_hash({"x": reordered})
    assert weights_hash({"x": images}) != weights_hash({"x": images + 1e-6})
    assert weights_hash({"x": images}) != weights_hash({"y": images})
    assert weights_hash({"x": torch.zeros(2, 3)}) != weights_hash({"x": torch.zeros(3, 2)})
    assert weights_hash({"x": torch.zeros(())}) != weights_hash({"x": torch.zeros((), dtype=torch.bfloat16)})


def test_names_from_a_compiled_wrapper_are_refused() -> None:
    with pytest.raises(ValueError, match="_orig_mod"):
        require_uncompiled({"_orig_mod.linear.weight": torch.zeros(1)})
    require_uncompiled({"linear.weight": torch.zeros(1)})
