"""Trials that ran out of memory are not tried again where they would again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vgsearch.config.trial import TrialConfig


@dataclass(frozen=True)
class Holding:
    """What a trial holds: GPUs, possibly a fraction of one, and the processes that share its batch."""

    gpus: float = 0.0
    processes: int = 1

    @property
    def gpus_per_process(self) -> float:
        """The share that bounds the memory of one process."""
        return self.gpus / self.processes

    def to_attribute(self) -> dict[str, Any]:
        """As a value that the journal can hold."""
        return {"gpus": self.gpus, "processes": self.processes}

    @classmethod
    def from_attribute(cls, value: Mapping[str, Any]) -> Holding:
        """Read what `to_attribute` gave."""
        return cls(float(value["gpus"]), int(value["processes"]))


def would_run_out(trial: TrialConfig, now: Holding, earlier: TrialConfig, then: Holding) -> bool:
    """Say whether a trial needs at least the memory of one that ran out of it, and has no more.

    It does if it is the same network on batches and images that are no smaller, process by process; whatever
    else differs (loss, rates, augmentation) hardly counts.

    Args:
        trial: the one that is thought of.
        now: what it would hold.
        earlier: the one that ran out.
        then: what that held.
    """
    return (
        now.gpus_per_process <= then.gpus_per_process
        and _network(trial) == _network(earlier)
        and trial.batch_size / now.processes >= earlier.batch_size / then.processes
        and trial.image_px >= earlier.image_px
        and (trial.domain is not None or earlier.domain is None)
    )


def _network(trial: TrialConfig) -> tuple[object, ...]:
    backbone = trial.resolved_backbone
    return backbone.name, backbone.trainable_stages, trial.precision, trial.compile
