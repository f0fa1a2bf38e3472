from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import torchvision.models as tv
from torch import Tensor

from vgsearch.config.trial import DomainConfig, TrialConfig
from vgsearch.models.network import build_network


def cosplace_descriptors(feature_map: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """L2, GeM (p = 3, eps = 1e-6), linear layer, L2, in float64."""
    unit = feature_map / feature_map.norm(dim=1, keepdim=True).clamp(min=1e-12)
    pooled = unit.clamp(min=1e-6).pow(3).flatten(2).mean(dim=2).pow(1 / 3)
    projected = pooled @ weight.double().t() + bias.double()
    return projected / projected.norm(dim=1, keepdim=True)


@pytest.mark.parametrize("name", ["resnet18", "vgg11"])
def test_equals_torchvisions_backbone_with_cosplaces_head(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    if name == "vgg11":
        trunk = tv.vgg.make_layers(tv.vgg.cfgs["A"])[:-2]
        state = {f"module.features.{key}": value for key, value in trunk.state_dict().items()}
        state["module.classifier.0.weight"] = torch.zeros(3)
    else:
        theirs = tv.resnet18(weights=None).eval()
        trunk = torch.nn.Sequential(*list(theirs.children())[:-2])
        state = {f"module.{key}": value for key, value in theirs.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "w.pth")
    trial = TrialConfig(backbone=name, weights=str(tmp_path / "w.pth"), descriptor_dim=32, image_px=64)
    network = build_network(trial).eval()

    images = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    mean = torch.tensor([0.485, 0.456, 0.406]).double().reshape(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).double().reshape(3, 1, 1)
    with torch.no_grad():
        feature_map = trunk.double()((images.double() / 255 - mean) / std)
        expected = cosplace_descriptors(feature_map, network.linear.weight, network.linear.bias)
        descriptors = network(images)
    torch.testing.assert_close(descriptors.double(), expected, rtol=1e-4, atol=1e-5)


def test_descriptors_are_float32_of_norm_one(tiny_trial: TrialConfig) -> None:
    network = build_network(tiny_trial).eval()
    images = torch.randint(0, 256, (3, 3, 50, 71), dtype=torch.uint8)
    with torch.inference_mode():
        plain = network(images)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = network(images)
    for descriptors in (plain, rough):
        assert descriptors.shape == (3, 16)
        assert descriptors.dtype == torch.float32
        torch.testing.assert_close(descriptors.norm(dim=1), torch.ones(3))
    assert F.cosine_similarity(plain, rough).min() > 0.99


def test_pooled_features_are_what_the_descriptors_are_made_of(tiny_trial: TrialConfig) -> None:
    network = build_network(tiny_trial).eval()
    images = torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8)
    with torch.inference_mode():
        descriptors, features = network.describe(images)
        unit = F.normalize(network.backbone(network.normalise(images)), dim=1)
        plain = unit.clamp(min=1e-6).pow(network.pooling.p).mean(dim=(2, 3)).pow(1 / network.pooling.p)
        assert torch.equal(descriptors, network(images))
        torch.testing.assert_close(features, plain)
        torch.testing.assert_close(descriptors, F.normalize(network.linear(features), dim=1))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert network.describe(images)[1].dtype == torch.float32


def test_bytes_and_floats_are_the_same_image(tiny_trial: TrialConfig) -> None:
    network = build_network(tiny_trial).eval()
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    with torch.inference_mode():
        torch.testing.assert_close(network(images), network(images.float() / 255), atol=1e-5, rtol=1e-4)


def test_normalisation_is_inside_and_outside_the_state_dict(tiny_trial: TrialConfig) -> None:
    network = build_network(tiny_trial)
    images = torch.rand(2, 3, 5, 4)
    mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in (network.backbone.mean, network.backbone.std))
    normalised = network.normalise(images)
    torch.testing.assert_close(normalised, (images - mean) / std)
    assert normalised.is_contiguous(memory_format=torch.channels_last)
    assert {key.split(".")[0] for key in network.state_dict()} == {"backbone", "pooling", "linear"}


@pytest.mark.usefixtures("unchanged_global_draws")
def test_same_seed_same_weights(tiny_trial: TrialConfig) -> None:
    first, again = build_network(tiny_trial), build_network(tiny_trial)
    other = build_network(tiny_trial.model_copy(update={"seed": 4}))
    for key, tensor in first.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[key])
    assert not torch.equal(first.linear.weight, other.linear.weight)
    assert not torch.equal(first.backbone.trunk.conv1[0].weight, other.backbone.trunk.conv1[0].weight)


def test_linear_layer_does_not_depend_on_how_the_backbone_was_filled(tiny_trial: TrialConfig) -> None:
    bundled = tiny_trial.model_copy(update={"backbone": "tf_efficientnet_lite0", "weights": "bundled"})
    random = bundled.model_copy(update={"weights": "none"})
    assert torch.equal(build_network(bundled).linear.weight, build_network(random).linear.weight)


def test_trainable_parameters(tiny_trial: TrialConfig) -> None:
    head_only = build_network(tiny_trial.model_copy(update={"trainable_stages": 0}))
    assert [p.shape for p in head_only.trainable_parameters()] == [(1,), head_only.linear.weight.shape, (16,)]
    head_only(torch.rand(2, 3, 64, 64)).sum().backward()
    assert all(p.grad is not None for p in head_only.trainable_parameters())
    assert all(p.grad is None for p in head_only.backbone.parameters())


def test_inline_reversal_turns_what_lies_before_the_linear_layer(tiny_trial: TrialConfig) -> None:
    domain = DomainConfig(grl_alpha=0.25, placement="inline")
    plain = build_network(tiny_trial)
    turned = build_network(tiny_trial.model_copy(update={"domain": domain}))
    images, direction = torch.rand(2, 3, 64, 64), torch.randn(2, 16)
    outputs = [network.eval()(images) for network in (plain, turned)]
    assert torch.equal(*outputs)
    for output in outputs:
        (output * direction).sum().backward()
    pairs = zip(plain.named_parameters(), turned.parameters(), strict=True)
    for (key, ours), theirs in pairs:
        if ours.grad is not None:
            assert theirs.grad is not None
            factor = 1.0 if key.startswith("linear") else -0.25
            torch.testing.assert_close(theirs.grad, factor * ours.grad)
    turned.set_grl_alpha(0.0)
    turned.zero_grad()
    turned(images).sum().backward()
    assert turned.pooling.p.grad == 0


def test_network_is_channels_last_and_copies(tiny_trial: TrialConfig) -> None:
    network = build_network(tiny_trial)
    twin = copy.deepcopy(network)
    assert twin.backbone.trunk.layer4[0].conv1.weight.is_contiguous(memory_format=torch.channels_last)
    images = torch.rand(1, 3, 64, 64)
    assert torch.equal(network.eval()(images), twin.eval()(images))
