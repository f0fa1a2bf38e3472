"""What a trial's folder says about the epochs already done."""

from __future__ import annotations

from pathlib import Path

from vgsearch.config.search import TrialSpec
from vgsearch.errors import CheckpointError
from vgsearch.models.checkpoint import read_metrics, read_spec
from vgsearch.training.report import EpochReport, epoch_name, from_history


def read_history(checkpoint: Path, spec: TrialSpec) -> list[EpochReport]:
    """The reports of the epochs up to `checkpoint`, which must be of the trial of `spec`.

    Raises:
        CheckpointError: the checkpoint is of another trial, or its history is damaged.
    """
    folder = checkpoint.parent
    found = read_spec(checkpoint)
    if found != spec:
        differing = ", ".join(_differences("", found.model_dump(), spec.model_dump()))
        raise CheckpointError(
            f"{folder} holds another trial, differing in {differing}; give this trial a folder of its own"
        )
    history = read_metrics(checkpoint).get("history")
    if not isinstance(history, list) or checkpoint.name != epoch_name(len(history)):
        raise CheckpointError(f"{checkpoint}: the history in metrics.json does not end at this epoch")
    return [from_history(entry, folder) for entry in history]


def _differences(path: str, found: object, wanted: object) -> list[str]:
    """Key paths in which two nested mappings differ, with both values."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        return [
            line
            for key in sorted({*found, *wanted})
            for line in _differences(f"{path}.{key}".lstrip("."), found.get(key), wanted.get(key))
        ]
    return [] if found == wanted else [f"{path} ({found} there, {wanted} here)"]
