"""Who asks the sampler: keeps away from what cannot be run, and knows when nothing is left to try."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice

from optuna.trial import FrozenTrial

from vgsearch.config.document import SearchDocument
from vgsearch.config.trial import TrialConfig
from vgsearch.search.constraints import known_violation
from vgsearch.search.memory import Holding, would_run_out
from vgsearch.search.outcome import stored_config
from vgsearch.search.proposal import AllRefusedError, grid_left, propose
from vgsearch.search.study import HELD, STATE


class Proposer:
    """Proposes the trials of one search."""

    def __init__(
        self,
        document: SearchDocument,
        warm: Sequence[FrozenTrial],
        holding: Holding,
        *,
        refuse: Callable[[TrialConfig], str] = lambda trial: "",
    ) -> None:
        """Propose in the space of `document`.

        Args:
            document: the loaded YAML.
            warm: trials of another search that the sampler knows.
            holding: what a trial of this search holds.
            refuse: says why a trial cannot be run for a reason of its own, or "" if it can.
        """
        self._document = document
        self._refuse = refuse
        self._warm = list(warm)
        self._holding = holding
        self.exhausted = ""  # in words, why nothing is proposed any more

    def next(self, own: Sequence[FrozenTrial]) -> FrozenTrial | None:
        """Propose the trial after `own`, those that this search proposed so far; None if nothing is left.

        Raises:
            SearchError: an entry of `search.start_with` cannot be run, or not one trial of the space can.
        """
        search = self._document.search
        refuse = _Refusal(self._document, own, self._holding, self._refuse)
        # A grid leaves out what is in its history, and what the other search tried is no point of its own.
        known = own if search.sampler.name == "grid" else [*self._warm, *own]
        try:
            found = propose(
                self._document.space,
                search.sampler,
                known,
                len(own),
                start_with=self._document.start_with,
                refuse=refuse,
            )
        except AllRefusedError as error:
            if not own:
                raise
            # Trials that run, repeats and final scores need no proposal: the search goes on without one.
            self.exhausted = f"no proposal can be run any more, the last because {error.reason}"
            return None
        if found is None:
            self.exhausted = "the sampler has proposed all there is in this space"
            return None
        return found[0]

    def most_left(self, own: Sequence[FrozenTrial], planned: int) -> int:
        """How many more trials there can be: up to `planned`, and no more than a grid has left."""
        missing = 0 if self.exhausted else max(0, planned - len(own))
        if self._document.search.sampler.name != "grid":
            return missing
        refuse = _Refusal(self._document, own, self._holding, self._refuse)
        left = grid_left(self._document.space, self._document.search.sampler, own, refuse)
        return sum(1 for _ in islice(left, missing))


class _Refusal:
    """Says why a decided trial of the sampler's cannot be run, or "" if it can."""

    def __init__(
        self,
        document: SearchDocument,
        own: Sequence[FrozenTrial],
        holding: Holding,
        also: Callable[[TrialConfig], str],
    ) -> None:
        self._also = also
        self._constraints = document.search.constraints
        self._is_users_own = len(own) < len(document.start_with)
        self._holding = holding
        self._ran_out = [
            (stored_config(trial, document), Holding.from_attribute(trial.user_attrs[HELD]))
            for trial in own
            if trial.user_attrs.get(STATE) == "out_of_memory" and trial.state.is_finished()
        ]

    def __call__(self, decided: Mapping[str, object]) -> str:
        trial = TrialConfig.model_validate(decided)
        broken = known_violation(self._constraints, trial)
        if broken or self._is_users_own:
            return broken
        if any(would_run_out(trial, self._holding, earlier, then) for earlier, then in self._ran_out):
            return f"a trial of {trial.resolved_backbone.name} at this batch size ran out of memory"
        return self._also(trial)
