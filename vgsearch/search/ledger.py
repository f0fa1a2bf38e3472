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
from vgsearch.registry.protocol import Recorder
from vgsearch.registry.records import TrialState
from vgsearch.search.budget import Budget
from vgsearch.search.constraints import Violation, known_violation, measured_violation
from vgsearch.search.events import TrialEvent, Watcher
from vgsearch.search.facts import epoch_facts, facts_of_report, history, next_arrival
from vgsearch.search.finalists import (
    Finalist,
    champion_trial,
    crownable,
    missing_repeats,
    searched,
    standings,
)
from vgsearch.search.memory import would_run_out
from vgsearch.search.messages import WorkerMessage
from vgsearch.search.outcome import stored_config
from vgsearch.search.proposal import propose
from vgsearch.search.stopping import JudgedTrial, stop_reason, stops_nobody
from vgsearch.search.study import DETERMINISTIC, EPOCHS, REASON, REPEAT_OF, STATE, UID, WALL_S, Study
from vgsearch.search.warm_start import warm_trials

_OPTUNA_STATE = {
    "complete": OptunaState.COMPLETE,
    "stopped": OptunaState.PRUNED,
    "infeasible": OptunaState.PRUNED,
    "failed": OptunaState.FAIL,
    "out_of_memory": OptunaState.FAIL,
}


# What a resumed search may say anew: how long it goes on, and what is done with its best trials.
EXTENDABLE = ("num_trials", "budget", "finalists")


@dataclass
class _Running:
    """What the driver knows of a trial that is not finished."""

    number: int
    spec: TrialSpec
    run_id: str
    settings: Mapping[str, object]
    repeat_of: int | None
    started: float = field(default_factory=time.monotonic)
    reports: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    num_queries: int = 0


class Ledger:
    """Proposes, records and ends the trials of one search.

    Not thread-safe: Tune calls it from the driver's one loop.
    """

    def __init__(
        self,
        document: SearchDocument,
        data: DataConfig,
        study: Study,
        registry: Recorder,
        watch: Watcher,
        *,
        gpus: float = 0.0,
    ) -> None:
        """Open the search in the registry and queue the trials that an earlier driver left unfinished.

        Args:
            document: the loaded YAML.
            data: its data section with absolute folders.
            study: opened, with the driver's lock held.
            registry: where runs and checkpoints are recorded.
            watch: told of every step of every trial.
            gpus: what one trial holds, for the GPU-hours.
        """
        self.document = document
        self.data = data
        self.study = study
        self.registry = registry
        self.watch = watch
        self.search_run = registry.open_search(
            document.name,
            params={
                # How long a search goes on may change with a resume, and MLflow keeps first values.
                "search": document.search.model_dump(mode="json", exclude=set(EXTENDABLE)),
                "data": data.model_dump(mode="json"),
                "eval": document.eval.model_dump(mode="json"),
            },
            config_text=recorded_text(document),
            tags={
                "vgsearch.objective": document.search.objective,
                "vgsearch.num_trials": str(document.search.num_trials),
            },
        )
        self._gpus = gpus
        self._budget = Budget(document.search.budget, float(study.setting(WALL_S, 0.0)))
        self._deterministic = bool(study.setting(DETERMINISTIC, False))
        self._warm = warm_trials(study, document.space)
        self._running: dict[str, _Running] = {}
        self._crowned = ""
        self._repeats: list[FrozenTrial] = []
        self._is_exhausted = False
        self._left_over = [trial for trial in study.trials() if not trial.state.is_finished()]

    @property
    def num_to_run(self) -> int:
        """Trials this driver has to see through: left over, not yet proposed, and repeats of finalists."""
        proposed = len(searched(self.study.trials()))
        missing = 0 if self.has_ended_early else max(0, self.document.search.num_trials - proposed)
        return len(self._left_over) + missing + len(self._repeats)

    @property
    def stops_nobody(self) -> bool:
        """Whether a stopping rule is set that no trial is long enough for."""
        scheduler = self.document.search.scheduler
        longest = max(trial.epochs for trial in self.document.example_trials())
        return scheduler.name != "none" and stops_nobody(scheduler, longest)

    @property
    def is_deterministic(self) -> bool:
        """Whether the search must repeat itself: one trial at a time."""
        return self._deterministic

    @property
    def budget_spent(self) -> str:
        """Which budget is spent, in words; empty while none is."""
        return self._budget.spent(self.study.trials())

    @property
    def has_ended_early(self) -> bool:
        """Whether no further trial is begun although fewer than planned were."""
        return self._is_exhausted or bool(self.budget_spent)

    @property
    def num_running(self) -> int:
        """Trials handed out and not finished."""
        return len(self._running)

    def plan_repeats(self) -> int:
        """Queue what the finalists still need, once every searched trial has ended; say how many that are."""
        seed_of = {trial.number: self._config(trial).seed for trial in self.study.trials()}
        repeats = missing_repeats(self.study.trials(), self.document.search.finalists, seed_of)
        self._repeats = [] if self.budget_spent else repeats
        return len(self._repeats)

    def next_spec(self) -> TrialSpec | None:
        """Hand out the next trial, a left over one first; None when all are handed out."""
        if self._left_over:
            stored = self._left_over.pop(0)
        elif self.budget_spent:
            return None
        elif self._repeats:
            stored = self._add(self._repeats.pop(0))
        else:
            proposal = self._propose()
            if proposal is None:
                return None
            stored = self._add(proposal)
        spec = self.spec_of(stored)
        repeat_of = stored.user_attrs.get(REPEAT_OF)
        repeats = "" if repeat_of is None else f", repeats {repeat_of:04d} with seed {spec.trial.seed}"
        run_id = self.registry.open_trial(
            self.document.name,
            spec.uid,
            label=f"trial {stored.number:04d}{repeats}",
            params=spec.trial.model_dump(mode="json"),
            spec_text=yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False),
        )
        running = _Running(stored.number, spec, run_id, settings=dict(stored.params), repeat_of=repeat_of)
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
        reports = sorted(message.epochs, key=lambda report: int(report["epoch"]))
        for report in reports:
            if int(report["epoch"]) in running.reports:
                continue
            if not self._record_epoch(running, report, is_latest=report is reports[-1]):
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

    def champion(self) -> FrozenTrial | None:
        """The trial that is champion once all have ended, see `champion_trial`."""
        return champion_trial(self.study.trials(), self.document.search.finalists)

    def finalists(self) -> list[Finalist]:
        """The finalists with their repeats, the highest mean first; empty without any."""
        return standings(self.study.trials(), self.document.search.finalists)

    def spec_of(self, stored: FrozenTrial) -> TrialSpec:
        """The spec of a trial in the study."""
        return TrialSpec(
            search=self.document.name,
            uid=str(stored.user_attrs[UID]),
            objective=self.document.search.objective,
            trial=self._config(stored),
            data=self.data,
            eval=self.document.eval,
            deterministic=self._deterministic,
        )

    def _config(self, stored: FrozenTrial) -> TrialConfig:
        return stored_config(stored, self.document)

    def _propose(self) -> FrozenTrial | None:
        own = searched(self.study.trials())
        number, search = len(own), self.document.search
        if number >= search.num_trials:
            return None
        ran_out = [self._config(t) for t in self.study.trials() if t.user_attrs.get(STATE) == "out_of_memory"]

        def refuse(decided: Mapping[str, object]) -> str:
            trial = TrialConfig.model_validate(decided)
            broken = known_violation(search.constraints, trial)
            if broken or number < len(self.document.start_with):
                return broken
            if any(would_run_out(trial, earlier) for earlier in ran_out):
                return f"a trial of {trial.resolved_backbone.name} at this batch size ran out of memory"
            return ""

        proposed = propose(
            self.document.space,
            search.sampler,
            [*self._warm, *own],
            number,
            start_with=self.document.start_with,
            refuse=refuse,
        )
        self._is_exhausted = proposed is None
        return None if proposed is None else proposed[0]

    def _add(self, proposal: FrozenTrial) -> FrozenTrial:
        proposal.set_user_attr(EPOCHS, self._config(proposal).epochs)
        return self.study.add_running(proposal)

    def _record_epoch(self, running: _Running, report: Mapping[str, Any], *, is_latest: bool) -> bool:
        epoch = int(report["epoch"])
        value = float(report["metrics"][running.spec.objective])
        running.reports[epoch] = report
        facts = facts_of_report(
            report,
            arrival=next_arrival(self.study.trials()),
            gpus=self._gpus,
            num_queries=running.num_queries,
        )
        self.study.report(running.number, epoch, value, facts)
        self.study.set_setting(WALL_S, round(self._budget.wall_s))
        self.registry.log_epoch(running.run_id, epoch, report["metrics"])
        violation = self._violation(running, epoch)
        if violation is not None:
            self._finish(running, "infeasible", violation.reason, violation)
            return False
        if epoch >= running.spec.trial.epochs:
            self._finish(running, "complete", "")
            return False
        reason = self._stop_reason(running, epoch, is_latest=is_latest)
        if reason:
            self._finish(running, "stopped", reason)
            return False
        self._tell_watcher(running, "running")
        return True

    def _violation(self, running: _Running, epoch: int) -> Violation | None:
        # Judged by the study, where the first measurement stays whatever a resumed worker measures.
        facts = epoch_facts(self.study.trials()[running.number])
        first = min(facts)
        if epoch != first:
            return None
        return measured_violation(self.document.search.constraints, facts[first])

    def _stop_reason(self, running: _Running, epoch: int, *, is_latest: bool) -> str:
        trials = self.study.trials()
        if running.repeat_of is None:
            others = [
                JudgedTrial(trial.number, history(trial))
                for trial in searched(trials)
                if trial.number != running.number
            ]
            judged = JudgedTrial(running.number, history(trials[running.number]))
            reason = stop_reason(
                self.document.search.scheduler, judged, epoch, running.spec.trial.epochs, others
            )
            if reason:
                return reason
        # A resumed trial tells all its epochs again; only the latest is a moment at which time has passed.
        return self.budget_spent if is_latest else ""

    def _finish(
        self, running: _Running, state: TrialState, reason: str, violation: Violation | None = None
    ) -> None:
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
        if violation is not None:
            self.study.violate(running.number, violation.name, violation.excess)
        values = [float(report["metrics"][running.spec.objective]) for report in running.reports.values()]
        told = max(values) if state == "complete" else None
        self.study.tell(running.number, _OPTUNA_STATE[state], told)
        del self._running[running.spec.uid]
        self._tell_watcher(running, state, reason)
        if running.repeat_of is None:
            self._crown(next(iter(crownable(searched(self.study.trials()))), None))

    def crown(self) -> FrozenTrial | None:
        """Give the champion's alias to the champion's version, and return its trial; None without one.

        While trials run the alias is on the best so far; finalists may move it in the end.
        """
        champion = self.champion()
        self._crown(champion)
        return champion

    def _crown(self, trial: FrozenTrial | None) -> None:
        uid = "" if trial is None else str(trial.user_attrs[UID])
        if uid and uid != self._crowned:
            self.registry.crown(self.document.name, uid)
            self._crowned = uid

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
                gpu_peak_bytes=_peak_bytes(running),
                repeat_of=running.repeat_of,
                seed=running.spec.trial.seed,
            )
        )


def _peak_bytes(running: _Running) -> float | None:
    peaks = [report["metrics"].get("gpu/peak_bytes") for report in running.reports.values()]
    return max((peak for peak in peaks if peak is not None), default=None)


def recorded_text(document: SearchDocument) -> str:
    """The file as it was read, and what the command line set on top of it."""
    return document.text + "".join(f"\n# --set {override}" for override in document.overrides)
