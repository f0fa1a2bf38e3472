"""Files of whole networks and of torchvision's layout, built from torchvision's own classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import torchvision.models as tv

from tests.models.foreign import CosPlaceNetwork, blocky, settle
from vgsearch.config.search import NoData, TrialSpec
from vgsearch.config.trial import BackboneConfig, TrialConfig
from vgsearch.errors import WeightsError
from vgsearch.models.backbones import Backbone, build_backbone
from vgsearch.models.checkpoint import save_checkpoint
from vgsearch.models.network import DescriptorNetwork, build_network
from vgsearch.models.weights_file import read_weights_file

pytestmark = pytest.mark.usefixtures("one_thread")


def build(name: str, weights: Path, said: list[str] | None = None, **options: float) -> Backbone:
    config = BackboneConfig(name=name, weights=str(weights), **options)
    return build_backbone(config, image_px=64, say=(said if said is not None else []).append).eval()


def refusal(weights: Path, name: str = "resnet18", **options: float) -> str:
    with pytest.raises(WeightsError) as caught:
        build(name, weights, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def images() -> torch.Tensor:
    return blocky(2, 99, 131, torch.Generator().manual_seed(2))


def foreign(architecture: str, num_classes: int) -> torch.nn.Module:
    torch.manual_seed(4)
    model = getattr(tv, architecture)(num_classes=num_classes)
    settle(model, 4)
    return model.eval()


def theirs_on(model: torch.nn.Module) -> torch.Tensor:
    """The last map of torchvision's ResNet."""
    return torch.nn.Sequential(*list(model.children())[:-2])(images())


def places_file(model: torch.nn.Module, path: Path) -> Path:
    """As the Places365 authors saved theirs: a training checkpoint of a DataParallel model."""
    state = {f"module.{name}": tensor for name, tensor in model.state_dict().items()}
    torch.save({"epoch": 90, "arch": "resnet18", "state_dict": state, "best_prec1": torch.tensor(54.3)}, path)
    return path


def numbered(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The state of `nn.Sequential(*model.children())`."""
    return torch.nn.Sequential(*model.children()).state_dict()


@pytest.mark.parametrize(
    ("architecture", "name"),
    [
        ("resnet18", "resnet18.tv_in1k"),
        pytest.param("resnet50", "resnet50.tv_in1k", marks=pytest.mark.slow),
    ],
)
def test_places365(architecture: str, name: str, tmp_path: Path) -> None:
    model = foreign(architecture, 365)
    said: list[str] = []
    path = places_file(model, tmp_path / f"{architecture}_places365.pth.tar")
    ours = build(name, path, said)
    with torch.inference_mode():
        torch.testing.assert_close(ours(images()), theirs_on(model), rtol=1e-5, atol=1e-5)
    assert said == [f"{path}: its classifier (fc.weight, fc.bias; 365 classes) is left out"]


def test_gldv2_whole_and_numbered(tmp_path: Path) -> None:
    model = foreign("resnet18", 512)
    with torch.inference_mode():
        expected = theirs_on(model)
    whole, in_order, cut = (tmp_path / f"{form}.pth" for form in ("whole", "in_order", "cut"))
    torch.save(model.state_dict(), whole)
    torch.save(numbered(model), in_order)
    torch.save(torch.nn.Sequential(*list(model.children())[:-2]).state_dict(), cut)
    for path, classifier in ((whole, "fc.weight, fc.bias"), (in_order, "9.weight, 9.bias"), (cut, None)):
        said: list[str] = []
        ours = build("resnet18", path, said)
        with torch.inference_mode():
            torch.testing.assert_close(ours(images()), expected, rtol=1e-5, atol=1e-5)
        wanted = [f"{path}: its classifier ({classifier}; 512 classes) is left out"] if classifier else []
        assert said == wanted


@pytest.mark.slow
def test_vgg_whole_and_numbered(tmp_path: Path) -> None:
    torch.manual_seed(4)
    features = tv.vgg16().features.eval()
    classifier = {"classifier.6.weight": torch.zeros(365, 8), "classifier.6.bias": torch.zeros(365)}
    torch.save(
        {f"features.{name}": t for name, t in features.state_dict().items()} | classifier,
        tmp_path / "whole.pth",
    )
    torch.save(features.state_dict(), tmp_path / "numbered.pth")
    for form in ("whole", "numbered"):
        ours = build("vgg16", tmp_path / f"{form}.pth")
        with torch.inference_mode():
            torch.testing.assert_close(ours(images()), features[:-2](images()), rtol=1e-5, atol=1e-5)


def test_torchvisions_efficientnet_and_those_that_only_look_like_it(tmp_path: Path) -> None:
    model = foreign("efficientnet_b0", 10)
    path = tmp_path / "b0.pth"
    torch.save(model.state_dict(), path)
    ours = build("efficientnet_b0", path)
    with torch.inference_mode():
        torch.testing.assert_close(ours(images()), model.features(images()), rtol=1e-4, atol=1e-4)
    assert "set backbone: efficientnet_b0" in refusal(path, "tf_efficientnet_b0")
    assert "does not fit efficientnet_b1" in refusal(path, "efficientnet_b1")


@pytest.mark.slow
def test_a_large_efficientnet_needs_torchvisions_epsilon(tmp_path: Path) -> None:
    with torch.device("meta"):
        state = tv.efficientnet_b5().state_dict()
    path = tmp_path / "b5.pth"
    torch.save({name: torch.zeros(tensor.shape) for name, tensor in state.items()}, path)
    assert "set backbone: {name: efficientnet_b5, bn_eps: 0.001}" in refusal(path, "efficientnet_b5")
    build("efficientnet_b5", path, bn_eps=0.001)


def test_numbered_names_are_torchvisions_so_other_networks_refuse_them(tmp_path: Path) -> None:
    torch.save(numbered(tv.resnet18()), tmp_path / "w.pth")
    message = refusal(tmp_path / "w.pth", "resnetblur18")
    assert "timm's resnetblur18 is none of torchvision's backbones" in message


def test_parts_of_a_backbone_are_never_enough(tmp_path: Path) -> None:
    state = tv.resnet18().state_dict()
    del state["layer4.1.bn2.running_var"]
    torch.save(state, tmp_path / "w.pth")
    assert "1 missing (layer4.1.bn2.running_var)" in refusal(tmp_path / "w.pth")
    torch.save({**numbered(tv.resnet18()), "12.weight": torch.zeros(1)}, tmp_path / "w.pth")
    assert "1 unexpected (12.weight)" in refusal(tmp_path / "w.pth")


def trial(weights: Path, descriptor_dim: int, backbone: str = "resnet18.tv_in1k") -> TrialConfig:
    return TrialConfig(backbone=backbone, weights=str(weights), descriptor_dim=descriptor_dim, image_px=64)


def started(config: TrialConfig) -> tuple[DescriptorNetwork, list[str]]:
    said: list[str] = []
    return build_network(config, say=said.append).eval(), said


@pytest.fixture(scope="module")
def cosplace_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[CosPlaceNetwork, Path]:
    network = CosPlaceNetwork("ResNet18", 24)
    path = tmp_path_factory.mktemp("cosplace") / "best_model.pth"
    torch.save(network.state_dict(), path)
    return network, path


def test_a_search_starts_from_cosplaces_whole_network(cosplace_file: tuple[CosPlaceNetwork, Path]) -> None:
    network, path = cosplace_file
    ours, said = started(trial(path, 24))
    with torch.inference_mode():
        torch.testing.assert_close(ours(images()), network(images()), rtol=0, atol=1e-5)
    assert said == [
        f"{path}: its 24-D linear layer and GeM p 2.37 are taken too, and trial.pooling.p has no effect"
    ]
    assert ours.pooling.p.requires_grad
    assert ours.linear.weight.requires_grad


def test_a_head_of_another_length_stays_out(cosplace_file: tuple[CosPlaceNetwork, Path]) -> None:
    network, path = cosplace_file
    ours, said = started(trial(path, 16))
    assert said == [
        f"{path}: its head makes 24-D descriptors and trial.descriptor_dim is 16, so only its backbone is "
        "taken"
    ]
    assert ours.pooling.p.item() == 3.0
    assert torch.equal(ours.backbone.trunk.conv1.weight, network.backbone[0].weight)


@pytest.fixture
def own_file(tmp_path: Path) -> tuple[DescriptorNetwork, Path]:
    config = TrialConfig(backbone="test_resnet", weights="none", descriptor_dim=16, image_px=64, seed=3)
    network = build_network(config).eval()
    network.pooling.p.data.fill_(4.5)
    spec = TrialSpec(search="s", uid="u", trial=config, data=NoData())
    return network, save_checkpoint(tmp_path / "epoch_0001", network, spec, {}) / "model.safetensors"


def test_a_search_starts_from_a_checkpoint_of_ours(own_file: tuple[DescriptorNetwork, Path]) -> None:
    network, path = own_file
    ours, _ = started(trial(path, 16, "test_resnet"))
    state = network.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in ours.state_dict().items())
    with pytest.raises(
        WeightsError, match=r"is a checkpoint of test_resnet, but the backbone is test_resnet.r160_in1k"
    ):
        started(trial(path, 16, "test_resnet.r160_in1k"))


def test_an_ensemble_is_no_start(tmp_path: Path) -> None:
    safetensors.torch.save_file({"members.0.linear.bias": torch.zeros(2)}, tmp_path / "model.safetensors")
    assert "is an ensemble; give a single network's weights" in refusal(tmp_path / "model.safetensors")


@pytest.fixture(params=["zip", "as torch before 1.6"])
def whole_file(request: pytest.FixtureRequest, tmp_path: Path) -> bytes:
    path = tmp_path / "whole.pth"
    state = {"a.weight": torch.arange(5000.0)}
    torch.save(state, path, _use_new_zipfile_serialization=request.param == "zip")
    assert torch.equal(read_weights_file(path)["a.weight"], state["a.weight"])
    return path.read_bytes()


def unreadable(path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        read_weights_file(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    return message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty; download it again"),
        (b"\n<!DOCTYPE html>\n<html><body>Sign in</body></html>", "is a web page and no weights file"),
        (b"<html>\xff\xfe", "is a web page and no weights file"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n",
            "is a Git LFS pointer and not the weights; fetch them with `git lfs pull`",
        ),
        (b"see https://example.org/weights for the file\n", "it holds text"),
        (b"\x80\x02}q\x00(X\x05", "damaged"),
        (b"\x00\x01\x02" * 100, "damaged"),
    ],
)
@pytest.mark.parametrize("suffix", [".pth", ".pth.tar", ".safetensors"])
def test_what_is_no_weights_file(content: bytes, words: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)
    assert words in unreadable(path)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file(part: float, whole_file: bytes, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(whole_file[: int(len(whole_file) * part)])
    assert "damaged" in unreadable(path)


def test_numpy_numbers_are_read_and_arrays_are_not(tmp_path: Path) -> None:
    path = tmp_path / "w.pth.tar"
    state = {"a": torch.ones(2)}
    numbers = {"best": np.float64(3.5), "loss": np.float32(1), "step": np.int64(7), "done": np.bool_(True)}
    torch.save({"state_dict": state, **numbers}, path)
    assert torch.equal(read_weights_file(path)["a"], state["a"])
    torch.save({"state_dict": state, "history": np.arange(3.0)}, path)
    message = unreadable(path)
    assert "holds more than tensors and plain values (numpy" in message
    assert f"torch.load('{path}', weights_only=False)['state_dict'], 'w_tensors.pth')" in message


def test_objects_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save(torch.nn.Linear(2, 2), path)
    assert "holds more than tensors and plain values (torch.nn.modules.linear.Linear)" in unreadable(path)


def test_one_tensor_under_two_names(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save({"a": torch.ones(1), "module.a": torch.zeros(1)}, path)
    assert "holds a twice" in unreadable(path)
