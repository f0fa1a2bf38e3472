"""What a worker sends to the driver after each epoch, as plain values that any node can read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from vgsearch.training.report import EpochReport

_KEY = "vgsearch_message"


@dataclass(frozen=True)
class WorkerMessage:
    """A trial's epochs so far, or the reason why it cannot go on.

    All epochs are sent each time: a worker or driver that died may have kept the other from hearing of
    one. `failed` is about the trial's own values. `halted` is about what every trial needs (an image that
    cannot be read, a disk that is full): the search stops, and the trial stays unfinished for a resume.
    """

    uid: str
    epochs: tuple[Mapping[str, Any], ...]
    num_queries: int = 0
    failed: str = ""
    halted: str = ""
    out_of_memory: bool = False

    def as_result(self) -> dict[str, Any]:
        """Wrap the message for Tune, which would flatten a mapping."""
        return {_KEY: [asdict(self)]}

    @staticmethod
    def from_result(result: Mapping[str, Any]) -> WorkerMessage | None:
        """Unwrap a Tune result; None if it carries no message."""
        wrapped = result.get(_KEY)
        return WorkerMessage(**wrapped[0]) if wrapped else None


def plain_report(report: EpochReport) -> dict[str, Any]:
    """Turn an epoch's report into plain values."""
    return {
        "epoch": report.epoch,
        "metrics": dict(report.metrics),
        "checkpoint": str(report.checkpoint),
        "is_best": report.is_best,
        "seconds": report.seconds,
    }
