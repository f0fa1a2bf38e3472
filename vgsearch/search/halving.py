"""Asynchronous successive halving (Li et al., MLSys 2020) as a pure function of what the study stores.

Optuna's pruner writes `completed_rung_k` before it answers, so a driver killed between the question and
the `tell` gets another answer the second time. Here nothing is written: each reported epoch carries its
arrival number in the search, and a verdict looks only at what had arrived by then. Asked again at any
later moment, it is the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ReportedEpoch:
    """One epoch's objective (higher is better) and its place in the order of all reports of the search."""

    value: float
    arrival: int


# One trial's reports, by completed epoch from 1.
History = Mapping[int, ReportedEpoch]


def arrived_before(judged: ReportedEpoch, epoch: int, others: Sequence[History]) -> list[float]:
    """The values of other trials after `epoch` that had arrived when `judged` did."""
    return [
        other[epoch].value for other in others if epoch in other and other[epoch].arrival < judged.arrival
    ]


def rung_epochs(grace_epochs: int, reduction_factor: int, max_epochs: int) -> list[int]:
    """Epochs after which a trial is judged: grace, grace * factor, ... and never the last one.

    Nobody is asked at the last epoch: a trial that has done all its work is complete, not stopped.
    """
    rungs = []
    epoch = grace_epochs
    while epoch < max_epochs:
        rungs.append(epoch)
        epoch *= reduction_factor
    return rungs


def is_stopped(history: History, epoch: int, others: Sequence[History], *, reduction_factor: int) -> bool:
    """Say whether a trial ends after the rung `epoch`.

    It goes on if its value is among the best 1/`reduction_factor` of all values that had arrived at this
    rung, itself included; while fewer than `reduction_factor` have arrived, only the best goes on. Equal
    values go on together.

    Args:
        history: the judged trial's reports; must hold `epoch`.
        epoch: a rung (see `rung_epochs`).
        others: the reports of every other trial of the search, whatever became of it.
        reduction_factor: one in how many goes on.
    """
    judged = history[epoch]
    competing = sorted([*arrived_before(judged, epoch, others), judged.value], reverse=True)
    promoted = max(len(competing) // reduction_factor, 1)
    return judged.value < competing[promoted - 1]
