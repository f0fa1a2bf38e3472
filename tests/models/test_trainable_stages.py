from __future__ import annotations

import pytest

from vgsearch.config.trial import BackboneConfig
from vgsearch.models.backbones import Backbone, build_backbone


def _build(name: str) -> Backbone:
    return build_backbone(BackboneConfig(name=name, weights="none"), image_px=64)


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_vit", "dla46_c", "test_convnext"])
def test_stages_divide_the_parameters_in_order(name: str) -> None:
    backbone = _build(name)
    divided = [parameter for stage in backbone.stages for parameter in stage.parameters]
    assert sorted(divided) == sorted(key for key, _ in backbone.trunk.named_parameters())
    assert len(set(divided)) == len(divided)
    assert len(backbone.stages) > 2


def test_direct_parameters_and_the_last_norm_of_a_vit() -> None:
    backbone = _build("vit_tiny_patch16_224")
    assert {"pos_embed", "cls_token"} <= set(backbone.stages[0].parameters)
    assert {"norm.weight", "norm.bias"} <= set(backbone.stages[-1].parameters)
    assert backbone.trainable_stages == 3


@pytest.mark.parametrize(
    ("name", "stages"),
    [("vgg11_bn", 1), ("mobilenetv3_small_050", 3), ("test_efficientnet", 2), ("test_resnet", 2)],
)
def test_defaults_by_family(name: str, stages: int) -> None:
    assert _build(name).trainable_stages == stages
