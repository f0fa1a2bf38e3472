"""What one epoch of a trial has to say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vgsearch.errors import CheckpointError


@dataclass(frozen=True)
class EpochReport:
    """One trained and scored epoch.

    Attributes:
        epoch: 1-based.
        metrics: `train/loss`, `train/images_per_s`, `val/recall_at_1` (percent), `time/train_s` and so on.
        checkpoint: folder of this epoch; older ones are removed unless they are the best.
        is_best: the objective is above that of every earlier epoch.
        seconds: training and scoring together.
    """

    epoch: int
    metrics: dict[str, float]
    checkpoint: Path
    is_best: bool
    seconds: float


def to_history(report: EpochReport) -> dict[str, Any]:
    """The report as plain values for `metrics.json`, without its path (folders may move)."""
    return {
        "epoch": report.epoch,
        "is_best": report.is_best,
        "seconds": report.seconds,
        "metrics": dict(report.metrics),
    }


def from_history(entry: Any, folder: Path) -> EpochReport:
    """The report that `to_history` wrote; `folder` is the trial's.

    Raises:
        CheckpointError: the entry has another form.
    """
    try:
        epoch = int(entry["epoch"])
        return EpochReport(
            epoch=epoch,
            metrics={str(name): float(value) for name, value in entry["metrics"].items()},
            checkpoint=folder / epoch_name(epoch),
            is_best=bool(entry["is_best"]),
            seconds=float(entry["seconds"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{folder}: the history in metrics.json is damaged ({error!r})") from error


def epoch_name(epoch: int) -> str:
    """Folder name of a completed epoch (1-based), e.g. `epoch_0003`."""
    return f"epoch_{epoch:04d}"
