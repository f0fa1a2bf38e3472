"""Which trial is handed out next: left over by an earlier driver, newly proposed, or a finalist's repeat.

With `search.branch` a trial waits for its trunk, which is handed out before it. Trials of other architectures
do not wait: while some do, more are proposed, until there are as many as may run at once.
"""

from __future__ import annotations

from optuna.trial import FrozenTrial

from vgsearch.config.document import SearchDocument
from vgsearch.search.finalists import missing_repeats, searched
from vgsearch.search.memory import Holding
from vgsearch.search.outcome import stored_config
from vgsearch.search.proposer import Proposer
from vgsearch.search.study import EPOCHS, Study
from vgsearch.search.trunks import Trunks, is_trunk
from vgsearch.search.warm_start import warm_trials


class Upcoming:
    """The trials of a search that are still to be handed out.

    Attributes:
        trunks: that the trials branch from.
    """

    def __init__(self, document: SearchDocument, study: Study, holding: Holding) -> None:
        """Queue the trials that an earlier driver left unfinished, trunks first.

        Args:
            document: the loaded YAML.
            study: opened, with the driver's lock held.
            holding: what one trial holds.
        """
        self.trunks = Trunks(document, study, holding)
        self._document = document
        self._study = study
        self._proposer = Proposer(
            document, warm_trials(study, document.space), holding, refuse=self.trunks.refusal
        )
        unfinished = [trial for trial in study.trials() if not trial.state.is_finished()]
        # Written to the study as RUNNING, and not handed out.
        self._waiting = sorted(unfinished, key=lambda trial: not is_trunk(trial))
        self._repeats: list[FrozenTrial] = []

    @property
    def exhausted(self) -> str:
        """Why nothing is proposed any more although more was planned, in words; empty while it is."""
        return self._proposer.exhausted

    @property
    def is_waiting(self) -> bool:
        """Whether trials wait for a trunk that is training."""
        return bool(self._waiting)

    def num_left(self, *, may_begin: bool) -> int:
        """Trials still to be handed out, trunks that nobody has asked for yet not counted.

        Args:
            may_begin: whether new ones are proposed.
        """
        own = searched(self._study.trials())
        missing = self._proposer.most_left(own, self._document.search.num_trials) if may_begin else 0
        return len(self._waiting) + missing + len(self._repeats)

    def plan_repeats(self, *, may_begin: bool) -> int:
        """Queue what the finalists still need, unless none may begin; say how many that are."""
        trials = self._study.trials()
        seed_of = {trial.number: stored_config(trial, self._document).seed for trial in trials}
        missing = missing_repeats(trials, self._document.search.finalists, seed_of)
        self._repeats = missing if may_begin else []
        return len(missing)

    def next(self, *, in_flight: int, at_once: int, may_begin: bool) -> FrozenTrial | None:
        """The trial to hand out, written to the study; None if there is none, or if all wait (`is_waiting`).

        Args:
            in_flight: how many have been handed out and have not ended, trunks not counted.
            at_once: how many may be; only where some wait does it limit what is proposed.
            may_begin: False gives what is written already, whatever it would have to wait for.
        """
        while True:
            ready = self._take_ready(may_begin=may_begin)
            if ready is not None or not may_begin:
                return ready
            if self._waiting and in_flight + len(self._waiting) >= at_once:
                return None
            proposal = self._repeats.pop(0) if self._repeats else self._propose()
            if proposal is None:
                return None
            config = stored_config(proposal, self._document)
            if self.trunks.standing(config) == "missing":
                # Written first, so that a trial in the study always has a trunk there.
                self._waiting.append(self._study.add_running(self.trunks.proposal(config)))
            proposal.set_user_attr(EPOCHS, config.epochs)
            self._waiting.append(self._study.add_running(proposal))

    def _propose(self) -> FrozenTrial | None:
        own = searched(self._study.trials())
        return self._proposer.next(own) if len(own) < self._document.search.num_trials else None

    def _take_ready(self, *, may_begin: bool) -> FrozenTrial | None:
        """Remove the first waiting trial that need not wait any longer, or its trunk, where that is lost."""
        for index, stored in enumerate(self._waiting):
            if is_trunk(stored) or not may_begin:
                return self._waiting.pop(index)
            config = stored_config(stored, self._document)
            standing = self.trunks.standing(config)
            if standing == "missing":
                # A spent budget cut the one it waited for, and a larger budget goes on.
                return self._study.add_running(self.trunks.proposal(config))
            if standing != "training":
                return self._waiting.pop(index)
        return None
