"""The ledger: all decisions and records of a search, in an order that a kill can cut anywhere.

The study is written first and MLflow after it, and the `tell` that ends a trial comes last of all. A kill
between two writes therefore leaves a trial RUNNING in the study; resumed, the same steps run again, each
of them finding what it would write already there.
"""

from __future__ import annotations

import time
from pathlib import Path

import yaml
from optuna.trial import FrozenTrial

from vgsearch.config.document import SearchDocument
from vgsearch.config.search import DataConfig, TrialSpec
from vgsearch.errors import SearchError
from vgsearch.registry.names import recall_tags
from vgsearch.registry.protocol import Recorder
from vgsearch.registry.records import TrialState
from vgsearch.search.budget import Budget
from vgsearch.search.constraints import Violation
from vgsearch.search.data_tags import data_tags
from vgsearch.search.events import Watcher
from vgsearch.search.facts import best_epoch, facts_of_report, next_arrival
from vgsearch.search.finalists import Finalist, champion_trial, standings
from vgsearch.search.judge import Judge
from vgsearch.search.memory import Holding
from vgsearch.search.messages import WorkerMessage
from vgsearch.search.outcome import stored_config
from vgsearch.search.running import Report, RunningTrial
from vgsearch.search.stopping import stops_nobody
from vgsearch.search.study import (
    DETERMINISTIC,
    HELD,
    OPTUNA_STATE,
    REASON,
    REPEAT_OF,
    STATE,
    TRUNK,
    UID,
    WALL_S,
    Study,
)
from vgsearch.search.trunks import is_trunk, settings_of
from vgsearch.search.upcoming import Upcoming

# What a resumed search may say anew: how long it goes on, and what is done with its best trials.
EXTENDABLE = ("num_trials", "budget", "finalists")

# So much of the spent time a killed driver may forget.
KEEP_TIME_EVERY_S = 60.0


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
        holding: Holding,
    ) -> None:
        """Open the search in the registry and queue the trials that an earlier driver left unfinished.

        Args:
            document: the loaded YAML.
            data: its data section with absolute folders.
            study: opened, with the driver's lock held.
            registry: where runs and checkpoints are recorded.
            watch: told of every step of every trial.
            holding: what one trial holds.
        """
        self.document = document
        self.data = data
        self.study = study
        self.registry = registry
        self.watch = watch
        self._lasting_tags = {**data_tags(data), **document.inherited_tags}
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
                **self._lasting_tags,
            },
        )
        self._holding = holding
        self._budget = Budget(document.search.budget, float(study.setting(WALL_S, 0.0)))
        self._judge = Judge(document.search, study, self._budget)
        self._deterministic = bool(study.setting(DETERMINISTIC, False))
        self._upcoming = Upcoming(document, study, holding)
        self._running: dict[str, RunningTrial] = {}
        self._crowned = ""
        self._time_kept_s = time.monotonic()

    @property
    def num_to_run(self) -> int:
        """Trials this driver has to see through: left over, not yet proposed, and repeats of finalists."""
        return self._upcoming.num_left(may_begin=not self.budget_spent)

    @property
    def most_to_hand_out(self) -> int:
        """No more trials than this are handed out: each of those to run may need a trunk of its own."""
        return self.num_to_run * (1 if self.document.search.branch is None else 2)

    @property
    def is_waiting(self) -> bool:
        """Whether trials wait for a trunk that is training, so that `next_spec` gives them later."""
        return self._upcoming.is_waiting

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
    def cut_short_by(self) -> str:
        """Why no further trial is begun although more were planned, in words; empty while they are."""
        return self.budget_spent or self._upcoming.exhausted

    @property
    def num_running(self) -> int:
        """Trials handed out and not finished."""
        return len(self._running)

    def plan_repeats(self) -> int:
        """Queue what the finalists still need, once every searched trial has ended; say how many that are.

        With a spent budget none is queued, and what is missing stays so.
        """
        return self._upcoming.plan_repeats(may_begin=not self.budget_spent)

    def next_spec(self, at_once: int = 1) -> TrialSpec | None:
        """Hand out the next trial, a left over one first.

        Args:
            at_once: how many may run at once.

        Returns:
            None when all are handed out, or while those that are not wait for their trunk (`is_waiting`).
        """
        while True:
            in_flight = sum(not running.trunk_key for running in self._running.values())
            spent = self.budget_spent
            stored = self._upcoming.next(in_flight=in_flight, at_once=at_once, may_begin=not spent)
            if stored is None:
                return None
            running = self._hand_out(stored)
            # One that told its epochs is judged by them before it trains; another would train one first.
            if stored.intermediate_values:
                return running.spec
            failed = "" if running.trunk_key else self._upcoming.trunks.refusal(running.spec.trial)
            if spent:
                self._finish(running, "stopped", spent)
            elif failed:
                self._finish(running, "failed", failed)
            else:
                return running.spec

    def keep_time(self, *, now: bool = False) -> None:
        """Keep the spent time in the study, once in a while or `now`; between epochs only this does."""
        if now or time.monotonic() - self._time_kept_s >= KEEP_TIME_EVERY_S:
            self.study.set_setting(WALL_S, round(self._budget.wall_s))
            self._time_kept_s = time.monotonic()

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
        trial = stored_config(stored, self.document)
        return TrialSpec(
            search=self.document.name,
            uid=str(stored.user_attrs[UID]),
            objective=self.document.search.objective,
            trial=trial,
            data=self.data,
            eval=self.document.eval,
            deterministic=self._deterministic,
            trunk=None if is_trunk(stored) else self._upcoming.trunks.spec(trial),
        )

    def _hand_out(self, stored: FrozenTrial) -> RunningTrial:
        """Open the run of a trial and count it as running."""
        spec = self.spec_of(stored)
        attributes = stored.user_attrs
        running = RunningTrial(
            stored.number,
            spec,
            settings=settings_of(stored),
            repeat_of=attributes.get(REPEAT_OF),
            trunk_key=attributes.get(TRUNK, ""),
        )
        running.run_id = self.registry.open_trial(
            self.document.name,
            spec.uid,
            label=running.label,
            params=spec.trial.model_dump(mode="json"),
            spec_text=yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False),
        )
        self._running[spec.uid] = running
        self.watch(running.event("running"))
        return running

    def _record_epoch(self, running: RunningTrial, report: Report, *, is_latest: bool) -> bool:
        epoch = int(report["epoch"])
        value = float(report["metrics"][running.spec.objective])
        running.reports[epoch] = report
        facts = facts_of_report(
            report,
            arrival=next_arrival(self.study.trials()),
            gpus=self._holding.gpus,
            num_queries=running.num_queries,
        )
        self.study.report(running.number, epoch, value, facts)
        self.keep_time(now=True)
        self.registry.log_epoch(running.run_id, epoch, report["metrics"])
        violation = self._judge.violation(running, epoch)
        if violation is not None:
            self._finish(running, "infeasible", violation.reason, violation)
            return False
        if epoch >= running.spec.trial.epochs:
            self._finish(running, "complete", "")
            return False
        reason = self._judge.stop_reason(running, epoch, is_latest=is_latest)
        if reason:
            self._finish(running, "stopped", reason)
            return False
        self.watch(running.event("running"))
        return True

    def _finish(
        self, running: RunningTrial, state: TrialState, reason: str, violation: Violation | None = None
    ) -> None:
        # By what the study keeps: a resumed worker's numbers may differ from those that were judged.
        values = self.study.trials()[running.number].intermediate_values
        best = best_epoch(self.study.trials()[running.number])
        report = running.report_to_record(best)
        tags = {"vgsearch.best_epoch": "" if report is None else str(report["epoch"]), **self._lasting_tags}
        if running.trunk_key:
            # No version of the model: it is a beginning, and nobody's ingredient.
            tags["vgsearch.trunk"] = running.trunk_key
        elif report is not None and state in ("complete", "stopped"):
            self._record_checkpoint(running, report)
        self.registry.finish_trial(running.run_id, state, reason=reason, tags=tags)
        self.study.note(running.number, STATE, state)
        self.study.note(running.number, REASON, reason)
        if state == "out_of_memory":
            self.study.note(running.number, HELD, self._holding.to_attribute())
        if violation is not None:
            self.study.violate(running.number, violation.name, violation.excess)
        self.keep_time(now=True)
        told = values[best] if state == "complete" and best is not None else None
        self.study.tell(running.number, OPTUNA_STATE[state], told)
        del self._running[running.spec.uid]
        self.watch(running.event(state, reason))
        if running.is_searched:
            self._crown(self.champion())

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

    def _record_checkpoint(self, running: RunningTrial, report: Report) -> None:
        self.registry.record_checkpoint(
            running.run_id,
            Path(report["checkpoint"]),
            search=self.document.name,
            uid=running.spec.uid,
            epoch=int(report["epoch"]),
            tags={**recall_tags(report["metrics"]), **self._lasting_tags},
        )


def recorded_text(document: SearchDocument) -> str:
    """The file as it was read, and what the command line set on top of it."""
    return document.text + "".join(f"\n# --set {override}" for override in document.overrides)
