"""What the study stores beside each epoch's objective: when it arrived and what it cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from optuna.trial import FrozenTrial

from vgsearch.search.halving import ReportedEpoch

EPOCH = "vgsearch.epoch."


@dataclass(frozen=True)
class EpochFacts:
    """One completed epoch, beside its objective.

    Attributes:
        arrival: place in the order of all reports of the search.
        seconds: training and scoring.
        gpus: what the trial held meanwhile, possibly a fraction.
        num_queries: behind the objective; 0 where splits of different sizes are averaged.
        gpu_peak_bytes: most GPU memory of one process; None without a GPU.
        query_ms: to describe one query; None if it was not measured.
        descriptor_bytes: of one descriptor.
    """

    arrival: int
    seconds: float = 0.0
    gpus: float = 0.0
    num_queries: int = 0
    gpu_peak_bytes: float | None = None
    query_ms: float | None = None
    descriptor_bytes: int = 0

    def to_attribute(self) -> dict[str, Any]:
        """As a value that the journal can hold."""
        return asdict(self)


def epoch_facts(trial: FrozenTrial) -> dict[int, EpochFacts]:
    """The facts of a trial's reported epochs.

    An epoch whose facts were written and whose value was not (the driver was killed in between) has not
    arrived: it is left out.
    """
    return {epoch: EpochFacts(**trial.user_attrs[EPOCH + str(epoch)]) for epoch in trial.intermediate_values}


def history(trial: FrozenTrial) -> dict[int, ReportedEpoch]:
    """A trial's reports by epoch, as stopping rules read them."""
    values = trial.intermediate_values
    return {epoch: ReportedEpoch(values[epoch], facts.arrival) for epoch, facts in epoch_facts(trial).items()}


def next_arrival(trials: Iterable[FrozenTrial]) -> int:
    """A number above that of every report that has arrived."""
    arrivals = (facts.arrival for trial in trials for facts in epoch_facts(trial).values())
    return max(arrivals, default=-1) + 1


def best_epoch(trial: FrozenTrial) -> int | None:
    """The reported epoch with the highest objective, the first of equals; None before the first."""
    values = trial.intermediate_values
    return max(values, key=lambda epoch: (values[epoch], -epoch), default=None)


def gpu_peak_bytes(facts: Iterable[EpochFacts]) -> float | None:
    """The most GPU memory of any epoch; None where none was measured."""
    peaks = (each.gpu_peak_bytes for each in facts if each.gpu_peak_bytes is not None)
    return max(peaks, default=None)


def gpu_hours(trials: Iterable[FrozenTrial]) -> float:
    """GPUs times hours of all epochs."""
    return sum(facts.gpus * facts.seconds for trial in trials for facts in epoch_facts(trial).values()) / 3600


def facts_of_report(report: Mapping[str, Any], *, arrival: int, gpus: float, num_queries: int) -> EpochFacts:
    """Read the facts of a worker's report of one epoch."""
    metrics = report["metrics"]
    return EpochFacts(
        arrival=arrival,
        seconds=float(report["seconds"]),
        gpus=gpus,
        num_queries=num_queries,
        gpu_peak_bytes=metrics.get("gpu/peak_bytes"),
        query_ms=metrics.get("cost/query_ms"),
        descriptor_bytes=int(metrics.get("cost/descriptor_bytes", 0)),
    )
