"""Optuna's samplers, each built anew for one proposal."""

from __future__ import annotations

import warnings

import numpy as np
import optuna
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, RandomSampler, TPESampler

from vgsearch.config.search import SamplerConfig


def proposal_seed(seed: int, number: int, attempt: int = 0) -> int:
    """Mix the search's seed, a proposal's number and its attempt into 32 bits."""
    entropy = [seed, number, attempt] if attempt else [seed, number]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


def make_sampler(config: SamplerConfig, number: int, attempt: int = 0) -> BaseSampler:
    """Build the sampler that proposes trial `number`, seeded from (seed, number, attempt).

    Seeded anew for every proposal: a sampler re-seeded only on resume would draw its first points again.
    TPE's arguments are spelt out because Optuna changes its defaults; without `group` a conditional space
    falls back to independent sampling.

    GP and CMA-ES learn from complete trials only: those that a rule stopped early, or that failed, teach them
    nothing. GP would therefore propose a refused trial again; its further attempts are random.

    Args:
        config: one of `tpe`, `gp`, `cmaes` and `random`; the others need no model of Optuna's.
        number: proposals of the search before this one.
        attempt: proposals of this number that were refused.
    """
    seed = proposal_seed(config.seed, number, attempt)
    if config.name == "random" or (config.name == "gp" and attempt):
        return RandomSampler(seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if config.name == "gp":
            return GPSampler(
                seed=seed,
                n_startup_trials=config.n_startup,
                deterministic_objective=False,
                warn_independent_sampling=False,
            )
        if config.name == "cmaes":
            return CmaEsSampler(
                seed=seed,
                n_startup_trials=config.n_startup,
                consider_pruned_trials=False,
                warn_independent_sampling=False,
            )
        return TPESampler(
            # Refused proposals are among the trials, and no model can be trusted that knows them alone.
            n_startup_trials=max(config.n_startup, 1) + attempt if attempt else config.n_startup,
            n_ei_candidates=24,
            multivariate=True,
            group=True,
            constant_liar=True,
            seed=seed,
        )
