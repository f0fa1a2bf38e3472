"""The ledger: all decisions and records of a search, in an order that a kill can cut anywhere.

The study is written first and MLflow after it, and the `tell` that ends a trial comes last of all. A kill
between two writes therefore leaves a trial RUNNING in the study; resumed, the same steps run again, each
of them finding what it would write already there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from vgsearch.config.document import SearchDocument
from vgsearch.config.search import DataConfig, TrialSpec
from vgsearch.config.trial import TrialConfig
from vgsearch.errors import SearchError
from vgsearch.registry.protocol import Registry
from vgsearch.registry.records import ModelVersion, TrialState
from vgsearch.search.events import TrialEvent, Watcher
from vgsearch.search.halving import is_stopped, rung_epochs
from vgsearch.search.messages import WorkerMessage
from vgsearch.search.proposal import decide_again, propose
from vgsearch.search.study import REASON, STATE, UID, Study

_OPTUNA_STATE = {
    "complete": OptunaState.COMPLETE,
    "stopped": OptunaState.PRUNED,
    "failed": OptunaState.FAIL,
    "out_of_memory": OptunaState.FAIL,
}


@dataclass
class _Running:
    """What the driver knows of a trial that is not finished."""

    number: int
    spec: TrialSpec
    run_id: str
    settings: Mapping[str, object]
    started: float = field(default_factory=time.monotonic)
    reports: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    num_queries: int = 0


class Ledger:
    """Proposes, records and ends the trials of one search.

    Not thread-safe: Tune calls it from the driver's one loop.
    """

    def __init__(
        self, document: SearchDocument, data: DataConfig, study: Study, registry: Registry, watch: Watcher
    ) -> None:
        """Open the search in the registry and queue the trials that an earlier driver left unfinished."""
        self.document = document
        self.data = data
        self.study = study
        self.registry = registry
        self.watch = watch
        self.search_run = registry.open_search(
            document.name,
            params={
                # How many trials there are may change with a resume, and MLflow keeps first values.
                "search": document.search.model_dump(mode="json", exclude={"num_trials"}),
                "data": data.model_dump(mode="json"),
                "eval": document.eval.model_dump(mode="json"),
            },
            config_text=recorded_text(document),
            tags={
                "vgsearch.objective": document.search.objective,
                "vgsearch.num_trials": str(document.search.num_trials),
            },
        )
        self._running: dict[str, _Running] = {}
        self._champion: ModelVersion | None = None
        self._left_over = [trial for trial in study.trials() if not trial.state.is_finished()]
        self.num_left_over = len(self._left_over)

    @property
    def num_to_run(self) -> int:
        """Trials this driver has to see through: the left over ones and the ones not yet proposed."""
        proposed = len(self.study.trials())
        return self.num_left_over + max(0, self.document.search.num_trials - proposed)

    @property
    def stops_nobody(self) -> bool:
        """Whether a stopping rule is set that no trial is long enough for."""
        scheduler = self.document.search.scheduler
        longest = max(trial.epochs for trial in self.document.example_trials())
        return scheduler.name != "none" and scheduler.grace_epochs >= longest

    @property
    def num_running(self) -> int:
        """Trials handed out and not finished."""
        return len(self._running)

    def next_spec(self) -> TrialSpec | None:
        """Hand out the next trial, a left over one first; None when all are handed out."""
        if self._left_over:
            stored = self._left_over.pop(0)
            decided = decide_again(self.document.space, stored)
        elif len(self.study.trials()) < self.document.search.num_trials:
            proposal, decided = propose(
                self.document.space, self.document.search.sampler, self.study.trials()
            )
            stored = self.study.add_running(proposal)
        else:
            return None
        spec = self._spec(stored, decided)
        run_id = self.registry.open_trial(
            self.document.name,
            spec.uid,
            label=f"trial {stored.number:04d}",
            params=spec.trial.model_dump(mode="json"),
            spec_text=yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False),
        )
        running = _Running(stored.number, spec, run_id, settings=dict(stored.params))
        self._running[spec.uid] = running
        self._tell_watcher(running, "running")
        return spec

    def receive(self, message: WorkerMessage) -> bool:
        """Record what a worker says and answer whether its trial goes on.

        Raises:
            SearchError: the worker met something that no trial can work with.
        """
        running = self._running.get(message.uid)
        if running is None:
            return False
        running.num_queries = message.num_queries or running.num_queries
        for report in sorted(message.epochs, key=lambda report: int(report["epoch"])):
            if int(report["epoch"]) in running.reports:
                continue
            if not self._record_epoch(running, report):
                return False
        if message.halted:
            raise SearchError(
                f"{message.halted} (met by trial {running.number}; mend it and continue with --resume)"
            )
        if message.failed:
            self._finish(running, "out_of_memory" if message.out_of_memory else "failed", message.failed)
            return False
        return True

    def lost(self, uid: str, reason: str) -> None:
        """End a trial whose worker died too often to go on."""
        running = self._running.get(uid)
        if running is not None:
            self._finish(running, "failed", reason)

    def best(self) -> FrozenTrial | None:
        """The trial with the highest objective among the complete and the stopped; the earliest of equals."""
        finished = [
            trial
            for trial in self.study.trials()
            if trial.state in (OptunaState.COMPLETE, OptunaState.PRUNED) and trial.intermediate_values
        ]
        return max(finished, key=lambda t: (max(t.intermediate_values.values()), -t.number), default=None)

    def spec_of(self, stored: FrozenTrial) -> TrialSpec:
        """The spec of a trial in the study."""
        return self._spec(stored, decide_again(self.document.space, stored))

    def _spec(self, stored: FrozenTrial, decided: dict[str, object]) -> TrialSpec:
        return TrialSpec(
            search=self.document.name,
            uid=str(stored.user_attrs[UID]),
            objective=self.document.search.objective,
            trial=TrialConfig.model_validate(decided),
            data=self.data,
            eval=self.document.eval,
        )

    def _record_epoch(self, running: _Running, report: Mapping[str, Any]) -> bool:
        epoch = int(report["epoch"])
        value = float(report["metrics"][running.spec.objective])
        running.reports[epoch] = report
        self.study.report(running.number, epoch, value)
        self.registry.log_epoch(running.run_id, epoch, report["metrics"])
        if epoch >= running.spec.trial.epochs:
            self._finish(running, "complete", "")
            return False
        reason = self._stop_reason(running, epoch)
        if reason:
            self._finish(running, "stopped", reason)
            return False
        self._tell_watcher(running, "running")
        return True

    def _stop_reason(self, running: _Running, epoch: int) -> str:
        scheduler = self.document.search.scheduler
        if scheduler.name == "none":
            return ""
        rungs = rung_epochs(scheduler.grace_epochs, scheduler.reduction_factor, running.spec.trial.epochs)
        if epoch not in rungs:
            return ""
        trials = self.study.trials()
        others = [self.study.history(trial) for trial in trials if trial.number != running.number]
        history = self.study.history(trials[running.number])
        if not is_stopped(history, epoch, others, reduction_factor=scheduler.reduction_factor):
            return ""
        return f"asha: not among the best 1/{scheduler.reduction_factor} after epoch {epoch}"

    def _finish(self, running: _Running, state: TrialState, reason: str) -> None:
        best = self._best_report(running)
        if best is not None and state in ("complete", "stopped"):
            self._record_checkpoint(running, best)
        self.registry.finish_trial(
            running.run_id,
            state,
            reason=reason,
            tags={"vgsearch.best_epoch": str(best["epoch"]) if best else ""},
        )
        self.study.note(running.number, STATE, state)
        self.study.note(running.number, REASON, reason)
        values = [float(report["metrics"][running.spec.objective]) for report in running.reports.values()]
        told = max(values) if state == "complete" else None
        self.study.tell(running.number, _OPTUNA_STATE[state], told)
        del self._running[running.spec.uid]
        self._tell_watcher(running, state, reason)
        self.crown()

    def crown(self) -> ModelVersion | None:
        """Give the champion's alias to the best trial's version, and return it; None without a best."""
        best = self.best()
        if best is None:
            return None
        uid = str(best.user_attrs[UID])
        if self._champion is None or self._champion.uid != uid:
            versions = [v for v in self.registry.versions(self.document.name) if v.uid == uid]
            if not versions:
                raise SearchError(
                    f"the MLflow store has no version of the best trial, {uid}: it is another store than the "
                    f"one this search was recorded in; set MLFLOW_TRACKING_URI or --home to that one"
                )
            self._champion = versions[-1]
            self.registry.set_champion(self.document.name, self._champion.version)
        return self._champion

    def _record_checkpoint(self, running: _Running, best: Mapping[str, Any]) -> None:
        metrics = {
            f"vgsearch.{name.replace('/', '.')}": f"{value:.4f}"
            for name, value in best["metrics"].items()
            if name.startswith("val/")
        }
        self.registry.record_checkpoint(
            running.run_id,
            Path(best["checkpoint"]),
            search=self.document.name,
            uid=running.spec.uid,
            epoch=int(best["epoch"]),
            tags=metrics,
        )

    @staticmethod
    def _best_report(running: _Running) -> Mapping[str, Any] | None:
        """The epoch with the highest objective, the first of equals, as the trainer keeps it."""
        objective = running.spec.objective
        reports = [running.reports[epoch] for epoch in sorted(running.reports)]
        return max(reports, key=lambda report: float(report["metrics"][objective]), default=None)

    def _tell_watcher(self, running: _Running, state: TrialState, reason: str = "") -> None:
        best = self._best_report(running)
        objective = running.spec.objective
        latest = running.reports[max(running.reports)] if running.reports else None
        self.watch(
            TrialEvent(
                number=running.number,
                uid=running.spec.uid,
                state=state,
                epoch=max(running.reports, default=0),
                epochs=running.spec.trial.epochs,
                settings=running.settings,
                value=float(latest["metrics"][objective]) if latest else None,
                best=float(best["metrics"][objective]) if best else None,
                best_epoch=int(best["epoch"]) if best else None,
                num_queries=running.num_queries,
                seconds=time.monotonic() - running.started,
                reason=reason,
            )
        )


def recorded_text(document: SearchDocument) -> str:
    """The file as it was read, and what the command line set on top of it."""
    return document.text + "".join(f"\n# --set {override}" for override in document.overrides)
