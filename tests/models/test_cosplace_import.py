from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.models.foreign import CHANNELS, CosPlaceNetwork, blocky
from vgsearch.config.search import NoData, TrialSpec
from vgsearch.config.trial import BackboneConfig, TrialConfig
from vgsearch.errors import ConfigError, WeightsError
from vgsearch.models.architecture import architecture_hash
from vgsearch.models.backbones import build_backbone
from vgsearch.models.checkpoint import load_network, read_spec, save_checkpoint
from vgsearch.models.cosplace_import import COSPLACE_BACKBONES, find_cosplace_backbone, import_cosplace
from vgsearch.models.network import build_network

pytestmark = pytest.mark.usefixtures("one_thread")

FAST = ("ResNet18", "EfficientNet_B0")
SLOW = tuple(name for name in COSPLACE_BACKBONES if name not in FAST)


@pytest.fixture(scope="module")
def theirs() -> CosPlaceNetwork:
    return CosPlaceNetwork("ResNet18", 32)


def images() -> torch.Tensor:
    return blocky(2, 131, 163, torch.Generator().manual_seed(5))


def reloaded(path: Path, backbone: str, tmp_path: Path) -> nn.Module:
    """Import, save as a checkpoint, and build again from that alone."""
    network, trial = import_cosplace(path, backbone)
    spec = TrialSpec(search="s", uid="u", trial=trial, data=NoData())
    folder = save_checkpoint(tmp_path / "epoch_0001", network, spec, {})
    path.unlink()
    assert read_spec(folder) == spec
    return load_network(folder)


def compare(backbone: str, tmp_path: Path) -> None:
    theirs = CosPlaceNetwork(backbone, 48)
    torch.save(theirs.state_dict(), tmp_path / "best_model.pth")
    ours = reloaded(tmp_path / "best_model.pth", backbone, tmp_path)
    with torch.inference_mode():
        expected, got = theirs(images()), ours(images())
    assert (expected[0] - expected[1]).norm() > 0.02, "the two images must be told apart at all"
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)


def test_every_backbone_of_cosplace_is_there() -> None:
    assert set(COSPLACE_BACKBONES) == set(CHANNELS)


@pytest.mark.parametrize("backbone", FAST)
def test_descriptors_are_those_of_cosplace(backbone: str, tmp_path: Path) -> None:
    compare(backbone, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", SLOW)
def test_descriptors_are_those_of_cosplace_in_every_backbone(backbone: str, tmp_path: Path) -> None:
    compare(backbone, tmp_path)


def test_the_epsilon_of_a_large_efficientnet_is_part_of_its_architecture(tmp_path: Path) -> None:
    own = TrialConfig(backbone="test_efficientnet", weights="none", descriptor_dim=8)
    moved = own.model_copy(update={"backbone": BackboneConfig(name="test_efficientnet", bn_eps=1e-3)})
    networks = [build_network(trial).eval() for trial in (own, moved)]
    hashes = {
        architecture_hash(network, trial) for network, trial in zip(networks, (own, moved), strict=True)
    }
    assert len(hashes) == 2
    assert {m.eps for m in networks[1].modules() if isinstance(m, nn.BatchNorm2d)} == {1e-3}
    folder = save_checkpoint(
        tmp_path / "c", networks[1], TrialSpec(search="s", uid="u", trial=moved, data=NoData()), {}
    )
    again = load_network(folder)
    assert {m.eps for m in again.modules() if isinstance(m, nn.BatchNorm2d)} == {1e-3}
    with pytest.raises(ConfigError, match=r"bn_eps: vgg16 has no BatchNorm; leave bn_eps out"):
        build_backbone(BackboneConfig(name="vgg16", bn_eps=1e-3), image_px=64)


def test_a_backbone_without_its_own_epsilon_is_written_as_before() -> None:
    written = BackboneConfig(name="resnet18").model_dump()
    assert written == {"name": "resnet18", "weights": None, "trainable_stages": None, "frozen_bn": None}
    assert BackboneConfig(name="resnet18", bn_eps=1e-3).model_dump()["bn_eps"] == 1e-3


def wrapped(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return OrderedDict((f"module.{name}", tensor) for name, tensor in state.items())


def without_counts(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}


def training_checkpoint(state: dict[str, torch.Tensor]) -> dict[str, object]:
    """What CosPlace's training loop saves; its best recall is NumPy's."""
    head = nn.Parameter(torch.zeros(4, 32))
    adam = torch.optim.Adam([head])
    return {
        "epoch_num": 3,
        "model_state_dict": state,
        "optimizer_state_dict": adam.state_dict(),
        "classifiers_state_dict": [{"weight": torch.zeros(4, 32)}],
        "optimizers_state_dict": [adam.state_dict()],
        "best_val_recall1": np.array([64.5])[0],
    }


@pytest.mark.parametrize("form", [wrapped, without_counts, training_checkpoint])
def test_forms_of_a_file(form, theirs: CosPlaceNetwork, tmp_path: Path) -> None:
    torch.save(form(theirs.state_dict()), tmp_path / "w.pth")
    ours, trial = import_cosplace(tmp_path / "w.pth", "ResNet18")
    assert trial.descriptor_dim == 32
    assert trial.resolved_backbone.name == "resnet18.tv_in1k"
    assert torch.equal(ours.pooling.p, theirs.aggregation[1].p)
    assert torch.equal(ours.linear.weight, theirs.aggregation[3].weight)
    assert torch.equal(ours.linear.bias, theirs.aggregation[3].bias)
    assert torch.equal(ours.backbone.trunk.layer4[1].bn2.running_var, theirs.backbone[7][1].bn2.running_var)


def refusal(state: object, path: Path, backbone: str = "ResNet18") -> str:
    torch.save(state, path)
    with pytest.raises(WeightsError) as caught:
        import_cosplace(path, backbone)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_each_tensor_has_to_have_a_place(theirs: CosPlaceNetwork, tmp_path: Path) -> None:
    state = theirs.state_dict()
    path = tmp_path / "w.pth"
    assert "1 unexpected (backbone.7.1.conv3.weight)" in refusal(
        {**state, "backbone.7.1.conv3.weight": torch.zeros(1)}, path
    )
    assert "extra.weight belongs neither to a backbone nor to CosPlace's head" in refusal(
        {**state, "extra.weight": torch.zeros(1)}, path
    )
    less = {name: tensor for name, tensor in state.items() if name != "backbone.5.0.conv1.weight"}
    assert "1 missing (layer2.0.conv1.weight)" in refusal(less, path)
    twice = {**state, "backbone.conv1.weight": state["backbone.0.weight"]}
    assert "has both backbone.0.weight and backbone.conv1.weight for conv1.weight" in refusal(twice, path)
    headless = {name: tensor for name, tensor in state.items() if name != "aggregation.3.bias"}
    assert "lacks aggregation.3.bias of the head" in refusal(headless, path)
    flat = {**state, "aggregation.3.bias": torch.zeros(7)}
    assert "the head's shapes must be (1,), (d, c) and (d,)" in refusal(flat, path)


def test_another_backbone_than_was_said(theirs: CosPlaceNetwork, tmp_path: Path) -> None:
    message = refusal(theirs.state_dict(), tmp_path / "w.pth", "ResNet50")
    assert "does not fit resnet50.tv_in1k" in message
    assert "backbone.4.0.conv1.weight: (64, 64, 3, 3) instead of (64, 64, 1, 1)" in message
    wide = {**theirs.state_dict(), "aggregation.3.weight": torch.zeros(32, 100)}
    assert "its linear layer takes 100 channels and the backbone has 512" in refusal(wide, tmp_path / "w.pth")


def test_a_backbone_alone_is_no_network(theirs: CosPlaceNetwork, tmp_path: Path) -> None:
    message = refusal({"conv1.weight": torch.zeros(1)}, tmp_path / "w.pth")
    assert "it has conv1.weight but no aggregation.*" in message


def test_names_of_backbones() -> None:
    assert find_cosplace_backbone("resnet18") == "ResNet18"
    with pytest.raises(
        ConfigError, match=r"'ResNet19' is none of CosPlace's; nearest: ResNet18; it has VGG16"
    ):
        find_cosplace_backbone("ResNet19")
