from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchvision.models as tv
from torch import nn

from vgsearch.config.trial import BackboneConfig
from vgsearch.errors import ConfigError
from vgsearch.models.backbones import (
    Backbone,
    backbone_problem,
    build_backbone,
    check_backbone,
    nearest_backbones,
)

# The paper's backbones, each with what its authors left trainable, as modules of torchvision's own networks.
# timm counts the down-sampling before a stage to the stage, where torchvision lists it on its own.
PAPER_BACKBONES: dict[str, Callable[[], list[nn.Module]]] = {
    "resnet18.tv_in1k": lambda: [*(net := tv.resnet18()).layer3, *net.layer4],
    "resnet50.tv_in1k": lambda: [*(net := tv.resnet50()).layer3, *net.layer4],
    "vgg16.tv_in1k": lambda: list(tv.vgg16().features)[:-2][-5:],
    "efficientnet_b0": lambda: list(tv.efficientnet_b0().features)[-2:],
    "efficientnet_b1": lambda: list(tv.efficientnet_b1().features)[-2:],
    "efficientnet_b2": lambda: list(tv.efficientnet_b2().features)[-2:],
    "tf_efficientnetv2_s.in1k": lambda: list(tv.efficientnet_v2_s().features)[-2:],
    "mobilenetv3_small_100": lambda: list(tv.mobilenet_v3_small().features)[-3:],
    "mobilenetv3_large_100": lambda: list(tv.mobilenet_v3_large().features)[-3:],
    "convnext_tiny.fb_in1k": lambda: list(tv.convnext_tiny().features)[-2:],
    "swin_tiny_patch4_window7_224.ms_in1k": lambda: [*list((net := tv.swin_t()).features)[-2:], net.norm],
}


def build(name: str = "test_resnet", *, image_px: int = 64, **options: Any) -> Backbone:
    return build_backbone(BackboneConfig(name=name, weights="none", **options), image_px=image_px)


def batch_norms(module: nn.Module) -> list[nn.BatchNorm2d]:
    return [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]


@pytest.mark.parametrize("name", [*PAPER_BACKBONES, "vit_tiny_patch16_224", "test_efficientnet"])
def test_trains_a_step_and_maps_any_size(name: str) -> None:
    backbone = build(name)
    if name in PAPER_BACKBONES:
        with torch.device("meta"):
            authors = [p.numel() for module in PAPER_BACKBONES[name]() for p in module.parameters()]
        ours = [p.numel() for p in backbone.parameters() if p.requires_grad]
        assert sorted(ours) == sorted(authors)

    frozen_with_graph = []

    def watch(module: nn.Module, _inputs: object, output: object) -> None:
        parameters = list(module.parameters())
        if parameters and not any(p.requires_grad for p in parameters) and isinstance(output, torch.Tensor):
            frozen_with_graph.extend([module] if output.requires_grad else [])

    for module in backbone.trunk.modules():
        module.register_forward_hook(watch)
    before = {key: parameter.detach().clone() for key, parameter in backbone.named_parameters()}
    trainable = [p for p in backbone.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trainable, lr=0.1)
    feature_map = backbone(torch.randn(2, 3, 64, 64))
    assert feature_map.ndim == 4
    assert feature_map.shape[:2] == (2, backbone.channels)
    (feature_map * torch.randn_like(feature_map)).sum().backward()
    optimizer.step()

    assert not frozen_with_graph, "frozen modules must leave nothing for autograd"
    for key, parameter in backbone.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad
        moved = not torch.equal(parameter, before[key])
        assert not moved or parameter.requires_grad
    assert any(not torch.equal(p, before[key]) for key, p in backbone.named_parameters())

    backbone.eval()
    with torch.inference_mode():
        wide = backbone(torch.randn(1, 3, 61, 83))
    assert wide.shape[:2] == (1, backbone.channels)
    assert wide.shape[2] <= wide.shape[3]


@pytest.mark.parametrize(
    "name", ["test_resnet", "test_efficientnet", "test_vit", "swin_tiny_patch4_window7_224.ms_in1k"]
)
def test_map_has_its_rows_and_columns_where_the_image_has_them(name: str) -> None:
    backbone = build(name).eval()
    images = torch.zeros(1, 3, 128, 192)
    marked = images.clone()
    marked[..., 100:, 160:] = 3.0
    with torch.inference_mode():
        change = (backbone(marked) - backbone(images)).abs().sum(dim=1)[0]
    row, column = divmod(int(change.argmax()), change.shape[1])
    assert row >= change.shape[0] * 0.6
    assert column >= change.shape[1] * 0.6


def test_sides_are_padded_where_the_backbone_needs_it() -> None:
    backbone = build("dla46_c").eval()
    assert backbone.side_multiple_px == 32
    images = torch.randn(1, 3, 61, 83)
    padded = torch.zeros(1, 3, 64, 96)
    padded[..., :61, :83] = images
    with torch.inference_mode():
        assert torch.equal(backbone(images), backbone(padded))


def test_vgg_ends_before_the_last_relu_and_pooling() -> None:
    backbone = build("vgg11").eval()
    with torch.inference_mode():
        feature_map = backbone(torch.randn(1, 3, 64, 64))
    assert feature_map.shape == (1, 512, 4, 4)
    assert feature_map.min() < 0


def test_every_tensor_belongs_to_the_map() -> None:
    backbone = build("mobilenetv3_small_100")
    assert not [key for key in backbone.state_dict() if "head" in key or "classifier" in key]


def test_frozen_batch_norm_keeps_its_statistics_in_training() -> None:
    backbone = build(trainable_stages=1, frozen_bn="eval").train()
    frozen = batch_norms(backbone.trunk.layer1)
    trained = batch_norms(backbone.trunk.layer4)
    backbone(torch.randn(4, 3, 64, 64) + 5.0)
    assert not any(norm.training for norm in frozen)
    assert all(norm.training for norm in trained)
    assert all(norm.num_batches_tracked == 0 for norm in frozen)
    assert all(norm.num_batches_tracked == 1 for norm in trained)


def test_frozen_batch_norm_follows_the_batch_on_request() -> None:
    backbone = build(trainable_stages=1, frozen_bn="batch").train()
    backbone(torch.randn(4, 3, 64, 64) + 5.0)
    assert all(norm.num_batches_tracked == 1 for norm in batch_norms(backbone))
    backbone.eval()
    assert not any(norm.training for norm in batch_norms(backbone))


def test_frozen_batch_norm_survives_a_deep_copy() -> None:
    twin = copy.deepcopy(build(trainable_stages=1)).train()
    assert not any(norm.training for norm in batch_norms(twin.trunk.layer1))


@pytest.mark.parametrize("stages", [0, 1, 5])
def test_trainable_stages_count_from_the_output(stages: int) -> None:
    backbone = build(trainable_stages=stages)
    names = ["conv1", "layer1", "layer2", "layer3", "layer4"]
    trains = [any(p.requires_grad for p in getattr(backbone.trunk, name).parameters()) for name in names]
    assert trains == [i >= 5 - stages for i in range(5)]
    assert backbone(torch.randn(1, 3, 64, 64)).requires_grad == (stages > 0)


def test_more_stages_than_there_are() -> None:
    with pytest.raises(
        ConfigError, match=r"trainable_stages: test_resnet has 5 stages, but 6 .*set at most 5"
    ):
        build(trainable_stages=6)


def test_mean_and_std_are_the_backbones_own() -> None:
    assert build("mobilenetv3_small_100").mean == (0.485, 0.456, 0.406)
    assert build("tf_efficientnet_lite0").std == (0.5, 0.5, 0.5)


@pytest.mark.usefixtures("unchanged_global_draws")
def test_random_weights_come_from_the_seed_alone() -> None:
    config = BackboneConfig(name="test_resnet", weights="none")
    first, again, other = (build_backbone(config, image_px=64, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.trunk.conv1[0].weight, again.trunk.conv1[0].weight)
    assert not torch.equal(first.trunk.conv1[0].weight, other.trunk.conv1[0].weight)


def test_unknown_backbone_gets_the_nearest_names() -> None:
    with pytest.raises(ConfigError, match=r"'resnt18' is not a timm backbone; nearest: resnet18,"):
        check_backbone("resnt18")
    assert nearest_backbones("mobilenet_v3_large_100.x")[0] == "mobilenetv3_large_100"
    assert len(nearest_backbones("")) == 3


def test_unknown_tag_gets_the_tags() -> None:
    problem = backbone_problem("resnet18.tv_in2k")
    assert problem is not None
    assert "no pre-training tag 'tv_in2k'" in problem
    assert "resnet18.tv_in1k" in problem
    assert backbone_problem("resnet18.tv_in1k") is None
    assert backbone_problem("resnet18") is None


@pytest.mark.parametrize("name", ["hf-hub:somebody/model", "local-dir:/tmp/x", "resnet18/../x"])
def test_names_that_would_fetch_code_or_files_are_no_backbones(name: str) -> None:
    assert backbone_problem(name) is not None


def test_backbone_of_one_size_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"mixer_s16_224 gives no feature map for images of any size"):
        build("mixer_s16_224")


def test_images_too_small_for_the_backbone() -> None:
    with pytest.raises(ConfigError, match=r"image_px: 16 is too small for test_convnext"):
        build("test_convnext", image_px=16)


@pytest.mark.slow
@pytest.mark.parametrize("name", PAPER_BACKBONES)
def test_full_size_training_and_extraction(name: str) -> None:
    backbone = build(name, image_px=512)
    feature_map = backbone(torch.randn(2, 3, 512, 512))
    feature_map.square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in backbone.parameters() if p.grad is not None)
    backbone.eval()
    with torch.inference_mode():
        for height, width in ((512, 512), (480, 640), (509, 333)):
            feature_map = backbone(torch.randn(1, 3, height, width))
            assert torch.isfinite(feature_map).all()
            stride = 16 if "vgg" in name else 32
            assert abs(feature_map.shape[2] - height / stride) <= 1
            assert abs(feature_map.shape[3] - width / stride) <= 1
