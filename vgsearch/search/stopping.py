"""Whether a trial goes on after an epoch: one question for all rules.

Each rule is a pure function of stored reports, and looks only at those that had arrived when the judged one
did: asked again after a kill, the answer is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vgsearch.config.search import SchedulerConfig
from vgsearch.search.halving import History, is_stopped, rung_epochs
from vgsearch.search.hyperband import bracket_graces, bracket_of, bracket_weights
from vgsearch.search.median import is_below_median
from vgsearch.search.patience import epochs_without_gain


@dataclass(frozen=True)
class JudgedTrial:
    """A trial's number in its search and its reports."""

    number: int
    history: History


def stop_reason(
    scheduler: SchedulerConfig,
    judged: JudgedTrial,
    epoch: int,
    max_epochs: int,
    others: Sequence[JudgedTrial],
) -> str:
    """Say in words why a trial ends after `epoch`; empty if it goes on.

    Nobody is asked at the last epoch: a trial that has done all its work is complete, not stopped.

    Args:
        scheduler: the rules.
        judged: the trial; its history must hold `epoch`.
        epoch: completed, from 1.
        max_epochs: that the trial is planned for. Where `epochs` is searched, the brackets of hyperband are
            those of the judged trial.
        others: every other trial of the search, whatever became of it.
    """
    if epoch >= max_epochs:
        return ""
    match scheduler.name:
        case "asha":
            reason = _halved(scheduler, judged, epoch, max_epochs, others)
        case "hyperband":
            reason = _halved_in_bracket(scheduler, judged, epoch, max_epochs, others)
        case "median":
            reason = _below_median(scheduler, judged, epoch, others)
        case "none":
            reason = ""
    return reason or _out_of_patience(scheduler, judged, epoch)


def stops_nobody(scheduler: SchedulerConfig, max_epochs: int) -> bool:
    """Whether no trial of `max_epochs` is ever stopped, whatever it reports."""
    if _first_patience_epoch(scheduler) < max_epochs:
        return False
    return scheduler.name == "none" or scheduler.grace_epochs >= max_epochs


def _halved(
    scheduler: SchedulerConfig,
    judged: JudgedTrial,
    epoch: int,
    max_epochs: int,
    others: Sequence[JudgedTrial],
) -> str:
    factor = scheduler.reduction_factor
    if not _is_halved(judged, epoch, max_epochs, others, grace_epochs=scheduler.grace_epochs, factor=factor):
        return ""
    return f"asha: not among the best 1/{factor} after epoch {epoch}"


def _halved_in_bracket(
    scheduler: SchedulerConfig,
    judged: JudgedTrial,
    epoch: int,
    max_epochs: int,
    others: Sequence[JudgedTrial],
) -> str:
    factor = scheduler.reduction_factor
    graces = bracket_graces(scheduler.grace_epochs, factor, max_epochs)
    weights = bracket_weights(len(graces), factor)
    bracket = bracket_of(judged.number, weights)
    rivals = [other for other in others if bracket_of(other.number, weights) == bracket]
    if not _is_halved(judged, epoch, max_epochs, rivals, grace_epochs=graces[bracket], factor=factor):
        return ""
    place = f"bracket {bracket} (grace {graces[bracket]})"
    return f"hyperband: not among the best 1/{factor} of {place} after epoch {epoch}"


def _is_halved(
    judged: JudgedTrial,
    epoch: int,
    max_epochs: int,
    rivals: Sequence[JudgedTrial],
    *,
    grace_epochs: int,
    factor: int,
) -> bool:
    """Whether `epoch` is a rung and the trial is not among its best there."""
    if epoch not in rung_epochs(grace_epochs, factor, max_epochs):
        return False
    return is_stopped(judged.history, epoch, [rival.history for rival in rivals], reduction_factor=factor)


def _below_median(
    scheduler: SchedulerConfig, judged: JudgedTrial, epoch: int, others: Sequence[JudgedTrial]
) -> str:
    if epoch < scheduler.grace_epochs:
        return ""
    histories = [other.history for other in others]
    below = is_below_median(judged.history, epoch, histories, n_startup=scheduler.n_startup)
    return f"median: best so far is below the median of the others after epoch {epoch}" if below else ""


def _out_of_patience(scheduler: SchedulerConfig, judged: JudgedTrial, epoch: int) -> str:
    patience = scheduler.patience_epochs
    if patience is None or epoch < scheduler.grace_epochs:
        return ""
    waited = epochs_without_gain(judged.history, epoch, min_gain=scheduler.min_gain)
    if waited < patience:
        return ""
    gain = f" of {scheduler.min_gain:g}" if scheduler.min_gain else ""
    return f"patience: no gain{gain} in {waited} epochs, after epoch {epoch}"


def _first_patience_epoch(scheduler: SchedulerConfig) -> float:
    if scheduler.patience_epochs is None:
        return float("inf")
    # The first epoch always improves, so the count starts after it.
    return max(scheduler.grace_epochs, scheduler.patience_epochs + 1)
