"""The best trials trained again on new seeds: the number that won a search is the luckiest of many draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from optuna.trial import FrozenTrial, create_trial
from optuna.trial import TrialState as OptunaState

from vgsearch.config.search import FinalistsConfig
from vgsearch.search.study import REPEAT_OF, SEED, STATE, TRUNK, UID

_CROWNABLE = ("complete", "stopped")


@dataclass(frozen=True)
class Finalist:
    """A trial of the search and its repeats.

    Attributes:
        number: of the trial.
        uid: of the trial.
        searched: its best objective in the search, in percent: selected, hence too good on average.
        repeats: best objective of each repeat that trained to its end, in order of their seeds.
    """

    number: int
    uid: str
    searched: float
    repeats: tuple[float, ...]

    @property
    def mean(self) -> float | None:
        """Mean over the repeats, the searched number left out; None before the first."""
        return mean(self.repeats) if self.repeats else None

    @property
    def std(self) -> float | None:
        """Sample standard deviation over the repeats; None below two."""
        return stdev(self.repeats) if len(self.repeats) > 1 else None


def searched(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that a sampler proposed: all but repeats and trunks."""
    return [t for t in trials if REPEAT_OF not in t.user_attrs and TRUNK not in t.user_attrs]


def crownable(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that may be champion, best first; the earliest of equals."""
    able = [t for t in trials if t.user_attrs.get(STATE) in _CROWNABLE and t.state.is_finished()]
    return sorted((t for t in able if t.intermediate_values), key=lambda t: (-best_value(t), t.number))


def best_value(trial: FrozenTrial) -> float:
    """The highest objective of a trial that has finished an epoch."""
    return max(trial.intermediate_values.values())


def repeat_seed(seed: int, index: int) -> int:
    """The seed of a trial's repeat `index`, from 1: the trial's own seed and the ones after it."""
    return seed + index


def missing_repeats(
    trials: Sequence[FrozenTrial], config: FinalistsConfig | None, seed_of: dict[int, int]
) -> list[FrozenTrial]:
    """Repeats that the finalists still need, as RUNNING trials to be written, by trial and seed.

    Args:
        trials: all of the study's.
        config: how many finalists and seeds; None asks for none.
        seed_of: the seed that each trial was searched with, by its number.
    """
    if config is None:
        return []
    # A repeat that a spent budget cut short is trained again under a larger one.
    there = {
        (trial.user_attrs[REPEAT_OF], trial.user_attrs[SEED])
        for trial in trials
        if REPEAT_OF in trial.user_attrs and trial.user_attrs.get(STATE) != "stopped"
    }
    missing = []
    for trial in crownable(searched(trials))[: config.top]:
        for index in range(1, config.seeds + 1):
            seed = repeat_seed(seed_of[trial.number], index)
            if (trial.number, seed) not in there:
                missing.append(_repeat(trial, seed))
    return missing


def standings(trials: Sequence[FrozenTrial], config: FinalistsConfig | None) -> list[Finalist]:
    """The finalists with at least one finished repeat, the highest mean first; the earliest of equals."""
    return [] if config is None else _ranked(crownable(searched(trials))[: config.top], trials)


def champion_trial(trials: Sequence[FrozenTrial], config: FinalistsConfig | None) -> FrozenTrial | None:
    """The champion: with finalists, the best run of the configuration with the highest mean over new seeds.

    Of the finalists, those that have finished repeats; where none of them has (an extended search has found
    better ones, and they wait for theirs), of all that have; without any, the highest objective.
    """
    candidates = crownable(searched(trials))
    order = [] if config is None else standings(trials, config) or _ranked(candidates, trials)
    if not order:
        return next(iter(candidates), None)
    number = order[0].number
    family = [t for t in trials if t.number == number or t.user_attrs.get(REPEAT_OF) == number]
    return crownable(family)[0]


def _ranked(candidates: Sequence[FrozenTrial], trials: Sequence[FrozenTrial]) -> list[Finalist]:
    finalists = [
        Finalist(
            number=trial.number,
            uid=str(trial.user_attrs[UID]),
            searched=best_value(trial),
            repeats=tuple(best_value(repeat) for repeat in _repeats_of(trial, trials)),
        )
        for trial in candidates
    ]
    repeated = [finalist for finalist in finalists if finalist.repeats]
    return sorted(repeated, key=lambda each: (-(each.mean or 0.0), each.number))


def _repeats_of(trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    # Not those that a spent budget cut short: fewer epochs reach less, whatever the configuration.
    repeats = [
        t
        for t in trials
        if t.user_attrs.get(REPEAT_OF) == trial.number and t.user_attrs.get(STATE) == "complete"
    ]
    return sorted(crownable(repeats), key=lambda repeat: repeat.user_attrs[SEED])


def _repeat(trial: FrozenTrial, seed: int) -> FrozenTrial:
    return create_trial(
        state=OptunaState.RUNNING,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs={REPEAT_OF: trial.number, SEED: seed},
    )
