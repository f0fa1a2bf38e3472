"""Ensemble folders, and opening any model folder, whether it holds one network or several.

An ensemble's folder is a checkpoint folder: `model.safetensors` with every member's tensors under
`members.<i>.`, `trial.yaml` (the first member's, with the ensemble's way of scoring), `metrics.json`, and
`ensemble.yaml`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from pydantic import ValidationError
from safetensors import SafetensorError
from torch import Tensor, nn

from vgsearch.config.search import EvalConfig
from vgsearch.errors import CheckpointError
from vgsearch.models.architecture import architecture_hash, describe_architecture
from vgsearch.models.atomic_folder import atomic_folder, storage_error
from vgsearch.models.checkpoint import METRICS_FILE, MODEL_FILE, SPEC_FILE, Metric, load_network, read_spec
from vgsearch.models.ensemble_network import EnsembleNetwork, Fusion, normalised_weights
from vgsearch.models.ensemble_record import (
    ENSEMBLE_FILE,
    MAX_MEMBERS,
    EnsembleRecord,
    MemberRecord,
    is_ensemble,
    read_ensemble,
)
from vgsearch.models.file_hash import file_sha256
from vgsearch.models.network import build_network
from vgsearch.models.precision import PrecisionName
from vgsearch.models.stored_tensors import (
    read_metadata,
    read_tensors,
    require_same_tensors,
    write_tensors,
)

__all__ = [
    "ENSEMBLE_FILE",
    "EnsembleMember",
    "EnsembleNetwork",
    "ModelIdentity",
    "describe_model",
    "is_ensemble",
    "load_model",
    "model_identity",
    "save_ensemble",
]


@dataclass(frozen=True)
class ModelIdentity:
    """What decides the descriptors of an image, apart from preprocessing and precision.

    Attributes:
        weights_sha256: Hash of the bytes of `model.safetensors`.
        architecture: Hash of all that is computed with them; for an ensemble also of fusion and weights.
    """

    weights_sha256: str
    architecture: str


@dataclass(frozen=True)
class EnsembleMember:
    """A checkpoint that is to be a member, and where it is recorded."""

    folder: Path
    reference: str
    uid: str
    epoch: int


def load_model(folder: Path, device: torch.device | str = "cpu") -> nn.Module:
    """Open a checkpoint's or an ensemble's folder.

    Returns:
        uint8 (b, 3, h, w) to float32 (b, d) of norm 1, in eval mode and channels-last memory format.

    Raises:
        CheckpointError: The folder is missing or damaged, or its weights do not fit.
    """
    if not is_ensemble(folder):
        return load_network(folder, device)
    record = read_ensemble(folder)
    path = folder / MODEL_FILE
    tensors, metadata = read_tensors(path)
    if metadata.get("architecture") != record.architecture:
        raise CheckpointError(
            f"{path}: holds {metadata.get('architecture_in_words', 'no ensemble')}, but {ENSEMBLE_FILE} says "
            f"{record.in_words} or other fusion weights; one of the two was changed, use another checkpoint"
        )
    networks = []
    for member in record.members:
        network = build_network(member.spec.trial, load_weights=False)
        if architecture_hash(network, member.spec.trial) != member.architecture:
            raise CheckpointError(
                f"{folder / ENSEMBLE_FILE}: {describe_architecture(member.spec.trial)} of {member.reference} "
                "differs in tensors, padding or normalisation from what is built here; was it written with "
                "another timm?"
            )
        networks.append(network)
    ensemble = EnsembleNetwork(networks, record.fusion, record.weights)
    require_same_tensors(ensemble.state_dict(), tensors, f"{path}: does not fit {record.in_words}")
    ensemble.load_state_dict(tensors, strict=True)
    ensemble.eval()
    return ensemble.to(device)


def save_ensemble(
    folder: Path,
    members: Sequence[EnsembleMember],
    *,
    fusion: Fusion,
    weights: Sequence[float],
    metrics: Mapping[str, Metric],
    eval_config: EvalConfig | None = None,
    precision: PrecisionName | None = None,
    extra_files: Mapping[str, bytes] | None = None,
) -> Path:
    """Write an ensemble's folder atomically, as `save_checkpoint` writes a checkpoint's.

    Args:
        folder: Final name; a folder that has it already is replaced.
        members: Folders of single networks, in the order of `weights`.
        fusion: See `EnsembleNetwork`.
        weights: Positive; scaled to sum 1.
        metrics: Finite numbers, strings and lists of these.
        eval_config: How images are brought to the ensemble; None takes the first member's.
        precision: What it is scored with; None takes the first member's.
        extra_files: Further small files by name, such as `val.npz`.

    Returns:
        `folder`.

    Raises:
        CheckpointError: A member is missing, damaged or an ensemble itself, or they do not fit the fusion.
        StorageError: The disk is full or the place cannot be written.
        ValueError: Weights that are not one positive number each, or a metric that is not finite.
    """
    record, tensors = _joined(members, fusion, normalised_weights(weights, len(members)))
    spec = record.members[0].spec
    if eval_config is not None:
        spec = spec.model_copy(update={"eval": eval_config})
    if precision is not None:
        spec = spec.model_copy(update={"trial": spec.trial.model_copy(update={"precision": precision})})
    metrics_text = json.dumps(dict(metrics), indent=1, sort_keys=True, allow_nan=False)
    metadata = {
        "format": "pt",
        "architecture": record.architecture,
        "architecture_in_words": record.in_words,
    }
    with atomic_folder(folder) as temporary:
        try:
            write_tensors(temporary / MODEL_FILE, tensors, metadata)
        except (SafetensorError, RuntimeError) as error:
            raise storage_error(folder, error) from error
        read_metadata(temporary / MODEL_FILE)  # very many tensors make a header that no reader takes
        (temporary / ENSEMBLE_FILE).write_text(record.to_yaml(), encoding="utf-8")
        (temporary / SPEC_FILE).write_text(
            yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False, allow_unicode=True),
            encoding="utf-8",
        )
        (temporary / METRICS_FILE).write_text(metrics_text + "\n", encoding="utf-8")
        for name, content in (extra_files or {}).items():
            (temporary / name).write_bytes(content)
    return folder


def model_identity(folder: Path) -> ModelIdentity:
    """What a model folder's descriptors depend on; reads the weights' bytes but builds no network.

    Raises:
        CheckpointError: The folder is missing or damaged.
    """
    path = folder / MODEL_FILE
    metadata = read_metadata(path)
    if is_ensemble(folder):
        architecture = read_ensemble(folder).architecture
    else:
        architecture = metadata.get("architecture", "")
        if not architecture:  # weights from elsewhere; only the network itself can tell
            trial = read_spec(folder).trial
            architecture = architecture_hash(build_network(trial, load_weights=False), trial)
    return ModelIdentity(weights_sha256=file_sha256(path), architecture=architecture)


def describe_model(folder: Path) -> str:
    """In words: `resnet18.tv_in1k + gem + 512`, or `similarity of 2: ...`.

    Raises:
        CheckpointError: The folder is missing or damaged.
    """
    return (
        read_ensemble(folder).in_words
        if is_ensemble(folder)
        else describe_architecture(read_spec(folder).trial)
    )


def _joined(
    members: Sequence[EnsembleMember], fusion: Fusion, weights: Sequence[float]
) -> tuple[EnsembleRecord, dict[str, Tensor]]:
    """The record of an ensemble, and all tensors under their members' prefixes."""
    if len(members) > MAX_MEMBERS:
        raise CheckpointError(f"an ensemble takes at most {MAX_MEMBERS} members, got {len(members)}")
    records = []
    tensors: dict[str, Tensor] = {}
    for i, member in enumerate(members):
        if is_ensemble(member.folder):
            raise CheckpointError(
                f"{member.reference} is an ensemble itself; name its members instead, each a single network"
            )
        network = load_network(member.folder)
        spec = read_spec(member.folder)
        state = network.state_dict()
        tensors |= {f"members.{i}.{name}": tensor.contiguous() for name, tensor in state.items()}
        records.append(
            MemberRecord(
                reference=member.reference,
                uid=member.uid,
                epoch=member.epoch,
                weights_sha256=file_sha256(member.folder / MODEL_FILE),
                architecture=architecture_hash(network, spec.trial),
                spec=spec,
            )
        )
    try:
        return EnsembleRecord(fusion=fusion, weights=list(weights), members=records), tensors
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise CheckpointError(f"these members make no ensemble: {message}") from error
