"""The hashes that say which weights a trial started from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from torch import Tensor

from vgsearch.config.search import TrialSpec
from vgsearch.config.trial import TrialConfig
from vgsearch.models.checkpoint import read_metrics
from vgsearch.models.network import DescriptorNetwork, build_network
from vgsearch.training.initial_state import InitialState, read_initial_state
from vgsearch.training.trainer import Trainer


def _trial(spec: TrialSpec, **trial: object) -> TrialConfig:
    return TrialConfig.model_validate({**spec.trial.model_dump(), **trial})


def _spec(spec: TrialSpec, **trial: object) -> TrialSpec:
    return spec.model_copy(update={"trial": _trial(spec, **trial)})


def _by_hand(tensors: dict[str, Tensor]) -> str:
    """The hash as it is documented, written a second time."""
    text = b""
    for name in sorted(tensors):
        values = tensors[name].contiguous().numpy()
        text += f"{name}|{tensors[name].dtype}|{tuple(values.shape)}|".encode() + values.tobytes()
    return hashlib.sha256(text).hexdigest()


def _same_backbone(first: DescriptorNetwork, second: DescriptorNetwork) -> DescriptorNetwork:
    """`second` with the backbone of `first`, as two trials have it that load the same pre-trained file."""
    second.backbone.load_state_dict(first.backbone.state_dict())
    return second


def test_every_checkpoint_names_the_weights_before_the_first_step(
    tiny_spec: TrialSpec, tmp_path: Path
) -> None:
    fresh = build_network(tiny_spec.trial)
    whole = {name: tensor.clone() for name, tensor in fresh.state_dict().items()}
    backbone = {
        name.removeprefix("backbone."): tensor
        for name, tensor in whole.items()
        if name.startswith("backbone.")
    }
    expected = InitialState(_by_hand(whole), _by_hand(backbone))
    for epochs in (1, 2):
        with Trainer(tiny_spec, tmp_path, device=torch.device("cpu"), threads=1) as trainer:
            report = trainer.train_epoch()
        assert report.epoch == epochs
        assert read_initial_state(report.checkpoint) == expected
        # The numbers of a report are metrics; hashes are none.
        assert "initial_state" not in report.metrics
    assert read_metrics(report.checkpoint)["initial_state"] == expected.network


def test_what_is_shared_is_told_apart(tiny_spec: TrialSpec) -> None:
    first = build_network(tiny_spec.trial)
    state = InitialState.of(first)
    assert InitialState.of(build_network(_trial(tiny_spec, lr=1.0, epochs=1, domain=None))) == state
    assert InitialState.of(first.to(memory_format=torch.contiguous_format)) == state
    other_seed = build_network(_trial(tiny_spec, seed=5))
    assert InitialState.of(other_seed).backbone != state.backbone
    shared = InitialState.of(_same_backbone(first, other_seed))
    assert shared.backbone == state.backbone
    assert shared.network != state.network


def test_a_trial_of_an_older_version_goes_on_without(tiny_spec: TrialSpec, tmp_path: Path) -> None:
    spec = _spec(tiny_spec, iterations_per_epoch=1)
    with Trainer(spec, tmp_path, device=torch.device("cpu"), threads=1) as trainer:
        checkpoint = trainer.train_epoch().checkpoint
    metrics = read_metrics(checkpoint)
    old = {name: value for name, value in metrics.items() if not name.startswith("initial_")}
    (checkpoint / "metrics.json").write_text(json.dumps(old))
    assert read_initial_state(checkpoint) is None
    with Trainer(spec, tmp_path, device=torch.device("cpu"), threads=1) as trainer:
        # What it started from is not known any more: better nothing than the hash of epoch 1.
        assert read_initial_state(trainer.train_epoch().checkpoint) is None
