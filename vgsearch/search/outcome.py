"""What became of each trial, read from the study and from its best checkpoint's per-query results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from optuna.trial import FrozenTrial

from vgsearch.config.document import SearchDocument
from vgsearch.config.trial import TrialConfig
from vgsearch.errors import DataError
from vgsearch.models.checkpoint import latest_checkpoint, read_metrics
from vgsearch.registry.records import TrialState
from vgsearch.retrieval.recall import RetrievalResult
from vgsearch.search.proposal import decide_again
from vgsearch.search.study import REASON, STATE, UID
from vgsearch.training.val_scores import stored_results


@dataclass(frozen=True)
class TrialOutcome:
    """One trial of a search.

    Attributes:
        state: running, complete, stopped, failed or out_of_memory.
        best: highest objective of its epochs, in percent; None if no epoch was finished.
        results: per-query results of the best epoch by selection split.
        seconds: time spent in its epochs, over all its processes.
    """

    number: int
    uid: str
    state: TrialState
    reason: str
    trial: TrialConfig
    epochs_done: int
    best: float | None
    best_epoch: int | None
    checkpoint: Path | None
    results: Mapping[str, RetrievalResult]
    seconds: float


def trial_outcomes(trials: Sequence[FrozenTrial], home: Path, document: SearchDocument) -> list[TrialOutcome]:
    """All trials, best first; those that cannot be champion come last. Equals stand in order of number."""
    outcomes = [_outcome(trial, home, document) for trial in trials]

    def rank(outcome: TrialOutcome) -> tuple[bool, float, int]:
        best = -1.0 if outcome.best is None else outcome.best
        return outcome.state not in ("complete", "stopped"), -best, outcome.number

    return sorted(outcomes, key=rank)


def best_checkpoint(trial_folder: Path) -> Path | None:
    """The checkpoint of a trial's best epoch, or None if no epoch was finished."""
    latest = latest_checkpoint(trial_folder)
    if latest is None:
        return None
    return trial_folder / f"epoch_{int(str(read_metrics(latest)['best_epoch'])):04d}"


def _outcome(stored: FrozenTrial, home: Path, document: SearchDocument) -> TrialOutcome:
    uid = str(stored.user_attrs[UID])
    values = stored.intermediate_values
    best_epoch = max(values, key=lambda epoch: (values[epoch], -epoch), default=None)
    checkpoint = None
    results: dict[str, RetrievalResult] = {}
    seconds = 0.0
    folder = home / "trials" / uid
    latest = latest_checkpoint(folder)
    if latest is not None:
        seconds = _seconds(read_metrics(latest))
    if best_epoch is not None and (folder / f"epoch_{best_epoch:04d}").is_dir():
        checkpoint = folder / f"epoch_{best_epoch:04d}"
        # A damaged side file costs the table its interval, not the search its end.
        with suppress(DataError):
            results = stored_results(checkpoint)
    return TrialOutcome(
        number=stored.number,
        uid=uid,
        state=cast(TrialState, stored.user_attrs.get(STATE, "running")),
        reason=str(stored.user_attrs.get(REASON, "")),
        trial=TrialConfig.model_validate(decide_again(document.space, stored)),
        epochs_done=len(values),
        best=None if best_epoch is None else values[best_epoch],
        best_epoch=best_epoch,
        checkpoint=checkpoint,
        results=results,
        seconds=seconds,
    )


def _seconds(metrics: Mapping[str, object]) -> float:
    history = metrics.get("history")
    if not isinstance(history, list):
        return 0.0
    return sum(float(entry["seconds"]) for entry in history)
