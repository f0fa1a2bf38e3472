"""Whether a trial goes on after an epoch: constraints, stopping rules and budgets, read from the study."""

from __future__ import annotations

from vgsearch.config.search import SearchConfig
from vgsearch.search.budget import Budget
from vgsearch.search.constraints import Violation, measured_violation
from vgsearch.search.facts import epoch_facts, history
from vgsearch.search.finalists import searched
from vgsearch.search.running import RunningTrial
from vgsearch.search.stopping import JudgedTrial, stop_reason
from vgsearch.search.study import Study


class Judge:
    """Judges the trials of one search; the same study gives the same verdicts, whoever asks again.

    A repeat of a finalist is judged by constraints and budgets, a trunk by budgets alone: the trials that
    branch from it are judged themselves.
    """

    def __init__(self, config: SearchConfig, study: Study, budget: Budget) -> None:
        """Judge by the rules of `config` and by what is left of `budget`."""
        self._config = config
        self._study = study
        self._budget = budget

    def violation(self, running: RunningTrial, epoch: int) -> Violation | None:
        """Which constraint a trial breaks by what its first epoch measured; None after any other epoch."""
        if running.trunk_key:
            return None
        # The first measurement stays in the study, whatever a resumed worker measures.
        facts = epoch_facts(self._study.trials()[running.number])
        first = min(facts)
        return measured_violation(self._config.constraints, facts[first]) if epoch == first else None

    def stop_reason(self, running: RunningTrial, epoch: int, *, is_latest: bool) -> str:
        """Why a trial ends after `epoch` although it has more, in words; empty if it goes on.

        Args:
            running: the trial.
            epoch: that was reported.
            is_latest: a resumed trial tells all its epochs again; only the latest is a moment at which time
                has passed.
        """
        trials = self._study.trials()
        if running.is_searched:
            others = [
                JudgedTrial(trial.number, history(trial))
                for trial in searched(trials)
                if trial.number != running.number
            ]
            judged = JudgedTrial(running.number, history(trials[running.number]))
            reason = stop_reason(self._config.scheduler, judged, epoch, running.spec.trial.epochs, others)
            if reason:
                return reason
        return self._budget.spent(trials) if is_latest else ""
