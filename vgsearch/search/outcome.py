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
from vgsearch.search.facts import EpochFacts, best_epoch, epoch_facts, gpu_peak_bytes
from vgsearch.search.proposal import decide_again
from vgsearch.search.study import REASON, REPEAT_OF, SEED, STATE, TRUNK, TRUNK_TRIAL, UID
from vgsearch.training.report import epoch_name
from vgsearch.training.val_scores import stored_results


@dataclass(frozen=True)
class TrialCosts:
    """What a trial cost, and what its network costs whoever uses it.

    Attributes:
        descriptor_bytes: of one descriptor; 0 if no epoch was finished.
        query_ms: to describe one query, as its first epoch measured it; None if it was not measured.
        gpu_peak_bytes: most GPU memory of one of its processes; None without a GPU.
        gpu_hours: GPUs times hours.
        hours: of its epochs, over all its processes.
    """

    descriptor_bytes: int
    query_ms: float | None
    gpu_peak_bytes: float | None
    gpu_hours: float
    hours: float


@dataclass(frozen=True)
class TrialOutcome:
    """One trial of a search.

    Attributes:
        state: running, complete, stopped, infeasible, failed or out_of_memory.
        best: highest objective of its epochs, in percent; None if no epoch was finished.
        results: per-query results of the best epoch by selection split.
        seconds: time spent in its epochs, over all its processes.
        costs: of training and of use.
        repeat_of: the trial that this one repeats on another seed; None for a searched one.
        is_trunk: others branch from it, and it competes with none.
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
    costs: TrialCosts
    repeat_of: int | None
    is_trunk: bool = False

    @property
    def seed(self) -> int:
        """The seed that it trained with."""
        return self.trial.seed


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
    return trial_folder / epoch_name(int(str(read_metrics(latest)["best_epoch"])))


def _outcome(stored: FrozenTrial, home: Path, document: SearchDocument) -> TrialOutcome:
    uid = str(stored.user_attrs[UID])
    values = stored.intermediate_values
    best = best_epoch(stored)
    checkpoint = None
    results: dict[str, RetrievalResult] = {}
    facts = epoch_facts(stored)
    folder = home / "trials" / uid
    if best is not None and (folder / epoch_name(best)).is_dir():
        checkpoint = folder / epoch_name(best)
        # A damaged side file costs the table its interval, not the search its end.
        with suppress(DataError):
            results = stored_results(checkpoint)
    return TrialOutcome(
        number=stored.number,
        uid=uid,
        state=cast(TrialState, stored.user_attrs.get(STATE, "running")),
        reason=str(stored.user_attrs.get(REASON, "")),
        trial=stored_config(stored, document),
        epochs_done=len(values),
        best=None if best is None else values[best],
        best_epoch=best,
        checkpoint=checkpoint,
        results=results,
        seconds=sum(each.seconds for each in facts.values()),
        costs=_costs(facts),
        repeat_of=stored.user_attrs.get(REPEAT_OF),
        is_trunk=TRUNK in stored.user_attrs,
    )


def stored_config(stored: FrozenTrial, document: SearchDocument) -> TrialConfig:
    """The decided values of a trial in the study; a repeat has its own seed, a trunk its own of all."""
    if TRUNK_TRIAL in stored.user_attrs:
        return TrialConfig.model_validate(stored.user_attrs[TRUNK_TRIAL])
    decided = decide_again(document.space, stored)
    if SEED in stored.user_attrs:
        decided["seed"] = stored.user_attrs[SEED]
    return TrialConfig.model_validate(decided)


def _costs(facts: Mapping[int, EpochFacts]) -> TrialCosts:
    epochs = [facts[epoch] for epoch in sorted(facts)]
    return TrialCosts(
        descriptor_bytes=epochs[0].descriptor_bytes if epochs else 0,
        query_ms=epochs[0].query_ms if epochs else None,
        gpu_peak_bytes=gpu_peak_bytes(epochs),
        gpu_hours=sum(each.gpus * each.seconds for each in epochs) / 3600,
        hours=sum(each.seconds for each in epochs) / 3600,
    )
