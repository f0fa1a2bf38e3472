"""One draw from a sampler, as a trial to be written and the decided values."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any, TypeAlias

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial, TrialState, create_trial
from threadpoolctl import threadpool_limits

from vgsearch.config.search import SamplerConfig
from vgsearch.config.space import Distribution, Scalar, Space, Suggest
from vgsearch.search.distributions import optuna_distribution, suggest_from
from vgsearch.search.lessons import lessons
from vgsearch.search.samplers import make_sampler
from vgsearch.search.sobol import sobol_point

# The RUNNING trial to be written, and the decided `trial` section.
Proposal: TypeAlias = tuple[FrozenTrial, dict[str, object]]


def draw(
    space: Space,
    config: SamplerConfig,
    history: Sequence[FrozenTrial],
    number: int,
    *,
    refused: Sequence[FrozenTrial] = (),
    fixed: Mapping[str, Scalar],
) -> Proposal:
    """Ask a sampler for a trial.

    Args:
        space: what is searched.
        config: the sampler. A grid, which has no opinion here, gives the middle of the space.
        history: the trials to learn from.
        number: proposals of the search before this one.
        refused: draws of this number that cannot be run. The next one is seeded by how many they are.
        fixed: values that are not drawn, by name; each of its distribution.
    """
    if config.name == "grid":
        return as_proposal(space, lambda name, distribution: fixed.get(name, distribution.centre))
    if config.name == "qmc":
        point = sobol_point(space, config.seed, number, attempt=len(refused))
        return as_proposal(
            space, lambda name, distribution: fixed[name] if name in fixed else point(name, distribution)
        )
    return _ask(space, config, history, number, refused, fixed)


def as_proposal(space: Space, suggest: Suggest) -> Proposal:
    """Decide a space by `suggest` and make the trial of it."""
    params: dict[str, Scalar] = {}
    distributions: dict[str, BaseDistribution] = {}

    def note(name: str, distribution: Distribution) -> Scalar:
        params[name] = suggest(name, distribution)
        distributions[name] = optuna_distribution(distribution)
        return params[name]

    decided = space.propose(note)
    return _running(params, distributions, {}), decided


def _ask(
    space: Space,
    config: SamplerConfig,
    history: Sequence[FrozenTrial],
    number: int,
    refused: Sequence[FrozenTrial],
    fixed: Mapping[str, Scalar],
) -> Proposal:
    # On an in-memory copy of the study, so that the journal gets the finished proposal as one record.
    logging.getLogger("optuna").setLevel(logging.ERROR)
    sampler = make_sampler(config, number, attempt=len(refused))
    copy = optuna.create_study(direction="maximize", sampler=sampler)
    if not isinstance(sampler, RandomSampler):
        copy.add_trials(lessons(space, history, whole=config.name in ("gp", "cmaes")))
        copy.add_trials([_infeasible(trial) for trial in refused])
    if fixed:
        copy.enqueue_trial(dict(fixed))
    # One thread for GP: its matrices are small, and on a busy machine many threads make it ten times slower.
    with threadpool_limits(limits=1) if config.name == "gp" else nullcontext():
        decided = space.propose(suggest_from(copy.ask()))
    drawn = copy.get_trials(deepcopy=False)[-1]
    return _running(drawn.params, drawn.distributions, drawn.system_attrs), decided


def _running(
    params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution], attrs: Mapping[str, Any]
) -> FrozenTrial:
    return create_trial(
        state=TrialState.RUNNING,
        params=dict(params),
        distributions=dict(distributions),
        system_attrs=dict(attrs),
    )


def _infeasible(trial: FrozenTrial) -> FrozenTrial:
    return create_trial(
        state=TrialState.PRUNED,
        params=trial.params,
        distributions=trial.distributions,
        constraints={"refused": 1.0},
    )
