"""The next trial, as a function of the study's history, the seed and the trial's number alone."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence

import numpy as np
import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from vgsearch.config.search import SamplerConfig
from vgsearch.config.space import Space
from vgsearch.search.distributions import suggest_from


def make_sampler(config: SamplerConfig, number: int) -> BaseSampler:
    """Build the sampler that proposes trial `number`, seeded from (seed, number).

    Seeded anew for every proposal: a sampler re-seeded only on resume would draw its first points again.
    TPE's arguments are spelt out because Optuna changes its defaults; without `group` a conditional space
    falls back to independent sampling.
    """
    seed = int(np.random.SeedSequence([config.seed, number]).generate_state(1)[0])
    if config.name == "random":
        return RandomSampler(seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return TPESampler(
            n_startup_trials=config.n_startup,
            n_ei_candidates=24,
            multivariate=True,
            group=True,
            constant_liar=True,
            seed=seed,
        )


def propose(
    space: Space, config: SamplerConfig, history: Sequence[FrozenTrial]
) -> tuple[FrozenTrial, dict[str, object]]:
    """Propose the trial after `history`.

    The sampler works on an in-memory copy of the study, so that the journal gets the finished proposal as
    one record.

    Returns:
        the proposal as a RUNNING trial to be written, and the decided `trial` section.
    """
    logging.getLogger("optuna").setLevel(logging.ERROR)
    copy = optuna.create_study(direction="maximize", sampler=make_sampler(config, len(history)))
    copy.add_trials(history)
    trial = copy.ask()
    decided = space.propose(suggest_from(trial))
    drawn = copy.get_trials(deepcopy=False)[-1]
    proposal = create_trial(
        state=TrialState.RUNNING,
        params=drawn.params,
        distributions=drawn.distributions,
        system_attrs=drawn.system_attrs,
    )
    return proposal, decided


def decide_again(space: Space, trial: FrozenTrial) -> dict[str, object]:
    """Rebuild the decided `trial` section of a stored trial from its parameters."""
    return space.propose(lambda name, _distribution: trial.params[name])
