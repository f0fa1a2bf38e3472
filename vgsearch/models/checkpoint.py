"""A checkpoint folder: `model.safetensors`, `trial.yaml`, `metrics.json`; to resume, `training_state.pt`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError

from vgsearch.config.search import TrialSpec
from vgsearch.config.trial import TrialConfig
from vgsearch.errors import CheckpointError
from vgsearch.models.architecture import (
    architecture_hash,
    describe_architecture,
    require_uncompiled,
)
from vgsearch.models.atomic_folder import atomic_folder, storage_error
from vgsearch.models.network import DescriptorNetwork, build_network
from vgsearch.models.plain_yaml import read_plain_model, read_small_text
from vgsearch.models.stored_tensors import read_tensors, require_same_tensors, write_tensors

MODEL_FILE = "model.safetensors"
SPEC_FILE = "trial.yaml"
METRICS_FILE = "metrics.json"
TRAINING_STATE_FILE = "training_state.pt"

Metric = float | int | str | list[Any]

_EPOCH_FOLDER = re.compile(r"epoch_(\d{4,})")
_SAFE_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")
_PLAIN_TYPES = (type(None), bool, int, float, str, bytes, torch.Tensor, torch.nn.Parameter)


def save_checkpoint(
    folder: Path,
    network: DescriptorNetwork,
    spec: TrialSpec,
    metrics: Mapping[str, Metric],
    training_state: dict[str, Any] | None = None,
    extra_files: Mapping[str, bytes] | None = None,
) -> Path:
    """Write a checkpoint atomically: under a temporary sibling, flushed, then renamed.

    Args:
        folder: Final name, as `.../epoch_0003`; a checkpoint that has it already is replaced.
        network: The network, not wrapped by `torch.compile`; training mode and device do not matter.
        spec: The trial with its data section resolved.
        metrics: Finite numbers, strings and lists of these.
        training_state: What a resume needs beyond the weights: plain Python values and tensors in dicts,
            lists and tuples, since it must load with `weights_only=True`.
        extra_files: Further small files by name.

    Returns:
        `folder`.

    Raises:
        StorageError: The disk is full or the place cannot be written; nothing is left half-written.
        ValueError: A metric is not finite, a file name is reserved, or tensor names carry the prefix of
            `torch.compile`.
        TypeError: `training_state` holds something that would not load again.
    """
    state = network.state_dict()
    require_uncompiled(state)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    metadata = {
        "format": "pt",
        "architecture": architecture_hash(network, spec.trial),
        "architecture_in_words": describe_architecture(spec.trial),
    }
    metrics_text = json.dumps(dict(metrics), indent=1, sort_keys=True, allow_nan=False)
    spec_text = yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    if training_state is not None:
        _require_plain(training_state, "training_state")
    for name in extra_files or {}:
        if not _SAFE_NAME.fullmatch(name) or name in (
            MODEL_FILE,
            SPEC_FILE,
            METRICS_FILE,
            TRAINING_STATE_FILE,
        ):
            raise ValueError(f"extra files must have plain names that no other file has, but got {name!r}")
    with atomic_folder(folder) as temporary:
        try:
            write_tensors(temporary / MODEL_FILE, tensors, metadata)
            if training_state is not None:
                torch.save(training_state, temporary / TRAINING_STATE_FILE)
        except (SafetensorError, RuntimeError) as error:
            # Both writers hide the OSError of a full disk behind one of their own.
            raise storage_error(folder, error) from error
        (temporary / SPEC_FILE).write_text(spec_text, encoding="utf-8")
        (temporary / METRICS_FILE).write_text(metrics_text + "\n", encoding="utf-8")
        for name, content in (extra_files or {}).items():
            (temporary / name).write_bytes(content)
    return folder


def latest_checkpoint(trial_folder: Path) -> Path | None:
    """The checkpoint `epoch_<n>` with the highest n that is whole; None if there is none.

    Temporary siblings and folders that lack one of weights, `trial.yaml` and `metrics.json` do not count.
    """
    epochs: dict[int, Path] = {}
    for folder in trial_folder.glob("epoch_*"):
        match = _EPOCH_FOLDER.fullmatch(folder.name)
        if match and is_checkpoint(folder):
            epochs[int(match[1])] = folder
    return epochs[max(epochs)] if epochs else None


def is_checkpoint(folder: Path) -> bool:
    """Whether a folder has non-empty weights, `trial.yaml` and `metrics.json`."""
    files = [folder / name for name in (MODEL_FILE, SPEC_FILE, METRICS_FILE)]
    return all(file.is_file() and file.stat().st_size > 0 for file in files)


def read_spec(folder: Path) -> TrialSpec:
    """Read the trial of a checkpoint.

    Raises:
        CheckpointError: `trial.yaml` is missing, is no YAML, or breaks the schema.
    """
    return read_plain_model(folder / SPEC_FILE, TrialSpec)


def read_metrics(folder: Path) -> dict[str, Metric]:
    """Read the metrics of a checkpoint.

    Raises:
        CheckpointError: `metrics.json` is missing or damaged.
    """
    path = folder / METRICS_FILE
    try:
        metrics = json.loads(read_small_text(path))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: is damaged ({type(error).__name__}); use another checkpoint"
        ) from error
    if not isinstance(metrics, dict):
        raise CheckpointError(f"{path}: must hold a mapping of metrics; use another checkpoint")
    return metrics


def load_network(folder: Path, device: torch.device | str = "cpu") -> DescriptorNetwork:
    """Rebuild the network of a checkpoint from `trial.yaml` and its weights.

    Args:
        folder: Checkpoint folder.
        device: Where the network goes.

    Returns:
        The network in eval mode and channels-last memory format.

    Raises:
        CheckpointError: The folder is missing or damaged, or its weights are of another architecture, not
            finite, or do not fit tensor by tensor.
    """
    spec = read_spec(folder)
    network = build_network(spec.trial, load_weights=False)
    load_weights(folder, network, spec.trial)
    network.eval()
    return network.to(device)


def load_weights(folder: Path, network: DescriptorNetwork, trial: TrialConfig) -> None:
    """Load the weights of a checkpoint into a network that was built for `trial`.

    Raises:
        CheckpointError: As `load_network`.
    """
    path = folder / MODEL_FILE
    tensors, metadata = read_tensors(path)
    expected_hash = architecture_hash(network, trial)
    if metadata.get("architecture", expected_hash) != expected_hash:
        theirs = metadata.get("architecture_in_words", "another architecture")
        ours = describe_architecture(trial)
        cause = "tensors, padding or normalisation differ; was it written with another timm?"
        raise CheckpointError(
            f"{path}: holds weights of {theirs}, but {ours} was expected"
            + (f" ({cause})" if theirs == ours else "; use a checkpoint of the same architecture")
        )
    state = network.state_dict()
    require_same_tensors(state, tensors, f"{path}: does not fit {describe_architecture(trial)}")
    network.load_state_dict(tensors, strict=True)


def load_training_state(folder: Path) -> dict[str, Any]:
    """Read what a resume needs beyond the weights, onto the CPU, with `weights_only=True`.

    Raises:
        CheckpointError: `training_state.pt` is missing, damaged, or holds more than plain values and tensors.
    """
    path = folder / TRAINING_STATE_FILE
    if not path.is_file():
        raise CheckpointError(
            f"{path}: is missing, so training cannot go on from here; use another checkpoint"
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(
            f"{path}: is damaged or holds more than tensors and plain values ({type(error).__name__}); "
            "resume from another checkpoint"
        ) from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{path}: must hold a dict; resume from another checkpoint")
    return state


def _require_plain(value: object, where: str) -> None:
    """Raise TypeError unless `torch.load(weights_only=True)` will read `value` back."""
    if isinstance(value, dict):
        for key, item in value.items():
            _require_plain(key, f"{where} key {key!r}")
            _require_plain(item, f"{where}[{key!r}]")
    elif isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        for i, item in enumerate(value):
            _require_plain(item, f"{where}[{i}]")
    elif type(value) not in _PLAIN_TYPES:
        raise TypeError(f"{where} must be a plain value or a tensor, but is a {type(value).__name__}")
