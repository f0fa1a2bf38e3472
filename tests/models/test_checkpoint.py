from __future__ import annotations

import json
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import yaml

from vgsearch.config.search import TrialSpec
from vgsearch.config.trial import TrialConfig
from vgsearch.errors import CheckpointError, StorageError
from vgsearch.models import checkpoint as subject
from vgsearch.models.architecture import weights_hash
from vgsearch.models.checkpoint import (
    is_checkpoint,
    latest_checkpoint,
    load_network,
    load_training_state,
    load_weights,
    read_metrics,
    read_spec,
    save_checkpoint,
)
from vgsearch.models.network import DescriptorNetwork, build_network

METRICS = {"val/recall_at_1": 63.0, "epoch": 3, "note": "x", "per_epoch": [1.0, 2.0]}


@pytest.fixture
def network(tiny_trial: TrialConfig) -> DescriptorNetwork:
    network = build_network(tiny_trial)
    with torch.no_grad():
        for tensor in network.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_(0.01)
    return network


@pytest.fixture
def folder(tmp_path: Path, network: DescriptorNetwork, tiny_spec: TrialSpec) -> Path:
    return save_checkpoint(
        tmp_path / "epoch_0003", network, tiny_spec, METRICS, {"epoch": 3}, {"val.npz": b"12"}
    )


def refusal(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_network(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert str(folder) in message
    return message


def test_round_trip(folder: Path, network: DescriptorNetwork, tiny_spec: TrialSpec) -> None:
    loaded = load_network(folder)
    assert weights_hash(loaded.state_dict()) == weights_hash(network.state_dict())
    assert not loaded.training
    images = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(loaded(images), network.eval()(images))
    assert read_spec(folder) == tiny_spec
    assert read_metrics(folder) == METRICS
    assert load_training_state(folder) == {"epoch": 3}
    assert (folder / "val.npz").read_bytes() == b"12"
    assert sorted(p.name for p in folder.parent.iterdir()) == ["epoch_0003"]


def test_files_are_plain(folder: Path) -> None:
    assert yaml.safe_load((folder / "trial.yaml").read_text())["trial"]["lr"] == 1e-5
    assert json.loads((folder / "metrics.json").read_text())["val/recall_at_1"] == 63.0
    names = safetensors.torch.load_file(folder / "model.safetensors").keys()
    assert {name.split(".")[0] for name in names} == {"backbone", "pooling", "linear"}


def test_loading_leaves_the_global_generator(folder: Path) -> None:
    before = torch.get_rng_state()
    load_network(folder)
    assert torch.equal(torch.get_rng_state(), before)


def test_optimizer_and_scaler_states_load_again(
    tmp_path: Path, network: DescriptorNetwork, tiny_spec: TrialSpec
) -> None:
    optimizer = torch.optim.Adam(network.trainable_parameters(), lr=1e-3)
    network(torch.rand(2, 3, 64, 64)).sum().backward()
    optimizer.step()
    scaler = torch.amp.GradScaler("cpu", enabled=True)
    state = {"optimizer": optimizer.state_dict(), "scaler": scaler.state_dict(), "best": (1, 63.0, None)}
    save_checkpoint(tmp_path / "epoch_0001", network, tiny_spec, {}, state)
    loaded = load_training_state(tmp_path / "epoch_0001")
    twin = torch.optim.Adam(build_network(tiny_spec.trial).trainable_parameters(), lr=1e-3)
    twin.load_state_dict(loaded["optimizer"])
    first = optimizer.state_dict()["state"][0]["exp_avg"]
    assert torch.equal(twin.state_dict()["state"][0]["exp_avg"], first)
    assert loaded["best"] == (1, 63.0, None)


@pytest.mark.parametrize("value", [np.float64(1.0), np.zeros(2), {1, 2}, Path("x"), lambda: 0])
def test_training_state_that_would_not_load_is_refused_before_writing(
    tmp_path: Path, network: DescriptorNetwork, tiny_spec: TrialSpec, value: object
) -> None:
    with pytest.raises(TypeError, match=r"training_state\['a'\]\[1\] must be a plain value or a tensor"):
        save_checkpoint(tmp_path / "epoch_0001", network, tiny_spec, {}, {"a": [1, value]})
    assert list(tmp_path.iterdir()) == []


def test_metric_that_is_not_finite(tmp_path: Path, network: DescriptorNetwork, tiny_spec: TrialSpec) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_checkpoint(tmp_path / "epoch_0001", network, tiny_spec, {"train/loss": float("nan")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../x", "model.safetensors", "", "a/b"])
def test_names_of_extra_files(
    tmp_path: Path, network: DescriptorNetwork, tiny_spec: TrialSpec, name: str
) -> None:
    with pytest.raises(ValueError, match="extra files must have plain names"):
        save_checkpoint(tmp_path / "epoch_0001", network, tiny_spec, {}, None, {name: b""})


def test_names_of_a_compiled_wrapper_are_refused(
    tmp_path: Path, network: DescriptorNetwork, tiny_spec: TrialSpec
) -> None:
    with pytest.raises(ValueError, match="_orig_mod"):
        save_checkpoint(tmp_path / "epoch_0001", torch.nn.ModuleDict({"_orig_mod": network}), tiny_spec, {})


@pytest.mark.parametrize("limit_bytes", [1000, 60_000, 2_300_000])
def test_disk_that_fills_up(
    tmp_path: Path, network: DescriptorNetwork, tiny_spec: TrialSpec, folder: Path, limit_bytes: int
) -> None:
    """A real limit on file sizes: at the weights, within them, and at the training state."""
    state = {"big": torch.zeros(1_000_000)}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        with pytest.raises(StorageError) as caught:
            save_checkpoint(tmp_path / "epoch_0004", network, tiny_spec, {}, state)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    message = str(caught.value)
    assert "\n" not in message
    assert "epoch_0004: cannot be written" in message
    assert [p.name for p in tmp_path.iterdir()] == ["epoch_0003"]
    assert latest_checkpoint(tmp_path) == folder


def test_unwritable_place(tmp_path: Path, network: DescriptorNetwork, tiny_spec: TrialSpec) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="File exists"):
        save_checkpoint(tmp_path / "file" / "epoch_0001", network, tiny_spec, {})


def test_latest_ignores_what_is_not_whole(folder: Path) -> None:
    trial_folder = folder.parent
    shutil.copytree(folder, trial_folder / "epoch_0010")
    shutil.copytree(folder, trial_folder / "epoch_0011")
    (trial_folder / "epoch_0011" / "metrics.json").unlink()
    shutil.copytree(folder, trial_folder / "epoch_0012")
    (trial_folder / "epoch_0012" / "model.safetensors").write_bytes(b"")
    shutil.copytree(folder, trial_folder / ".epoch_0013.0badf00d.tmp")
    shutil.copytree(folder, trial_folder / "epoch_0014.bak")
    assert latest_checkpoint(trial_folder) == trial_folder / "epoch_0010"
    assert not is_checkpoint(trial_folder / "epoch_0011")
    assert latest_checkpoint(trial_folder / "nowhere") is None


def test_weights_of_another_architecture_name_both(
    folder: Path, tmp_path: Path, tiny_spec: TrialSpec
) -> None:
    other = tiny_spec.model_copy(
        update={"trial": tiny_spec.trial.model_copy(update={"backbone": "test_efficientnet"})}
    )
    elsewhere = save_checkpoint(tmp_path / "other" / "epoch_0001", build_network(other.trial), other, {})
    shutil.copy(elsewhere / "model.safetensors", folder)
    message = refusal(folder)
    assert "holds weights of test_efficientnet + gem + 16, but test_resnet + gem + 16 was expected" in message
    with pytest.raises(CheckpointError, match="test_resnet"):
        load_weights(elsewhere, build_network(tiny_spec.trial), tiny_spec.trial)


def test_same_words_but_other_tensors(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "architecture_hash", lambda *_: "0" * 64)
    assert "was it written with another timm?" in refusal(folder)


def test_tensors_are_checked_one_by_one(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = safetensors.torch.load_file(path)
    tensors["linear.bias"] = tensors["linear.bias"].half()
    tensors["pooling.p"][0] = torch.nan
    del tensors["linear.weight"]
    safetensors.torch.save_file(tensors, path)
    message = refusal(folder)
    assert "1 missing (linear.weight)" in message
    assert "1 of another dtype (linear.bias" in message
    assert "1 with NaN or infinity (pooling.p)" in message


def test_truncated_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    assert "damaged" in refusal(folder)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "model_type|valid dictionary"),
        ("{", "is damaged"),
        ("!!python/object/apply:os.system ['true']", "is damaged"),
        ("a: &x [1]\nb: *x", "is damaged"),
        ("search: s\nuid: u\ntrial: {batch_sise: 3}\ndata: {train: a, val: b}", "trial.batch_sise"),
    ],
)
def test_damaged_spec(folder: Path, text: str, told: str) -> None:
    (folder / "trial.yaml").write_text(text)
    assert any(part in refusal(folder) for part in told.split("|"))


def test_missing_folder(tmp_path: Path) -> None:
    assert "No such file or directory" in refusal(tmp_path / "nowhere")


def test_damaged_metrics_and_training_state(folder: Path) -> None:
    (folder / "metrics.json").write_text("[1]")
    with pytest.raises(CheckpointError, match="must hold a mapping"):
        read_metrics(folder)
    (folder / "metrics.json").write_text("{")
    with pytest.raises(CheckpointError, match="is damaged"):
        read_metrics(folder)
    (folder / "training_state.pt").write_bytes(b"no state")
    with pytest.raises(CheckpointError, match="damaged or holds more"):
        load_training_state(folder)
    (folder / "training_state.pt").unlink()
    with pytest.raises(CheckpointError, match="is missing, so training cannot go on"):
        load_training_state(folder)
