"""What a sampler is told of earlier trials."""

from __future__ import annotations

from collections.abc import Sequence

from optuna.trial import FrozenTrial, create_trial

from vgsearch.config.space import Space
from vgsearch.search.distributions import optuna_distribution

_CMA_STATE = "cma:"


def lessons(space: Space, history: Sequence[FrozenTrial], *, whole: bool) -> list[FrozenTrial]:
    """Copies of the trials that `space` could have proposed, with its distributions.

    Trials of another search may have been drawn from other ranges and choices, at which Optuna raises. Those
    with a value that this space does not have are left out.

    Args:
        space: what is searched now.
        history: the trials; they stay as they are.
        whole: leave out trials that lack a value of the space, too. GP and CMA-ES model the values that all
            trials have in common: one such trial, and they never model that value again.
    """
    known = {parameter.name: parameter.distribution for parameter in space.parameters()}
    stored = {name: optuna_distribution(distribution) for name, distribution in known.items()}
    told = []
    for trial in history:
        if not all(name in known and known[name].contains(value) for name, value in trial.params.items()):
            continue
        if whole and trial.params.keys() != known.keys():
            continue
        # CMA-ES keeps its state on the scale of the ranges.
        is_same = all(trial.distributions[name] == stored[name] for name in trial.params)
        told.append(
            create_trial(
                state=trial.state,
                values=trial.values,
                params=trial.params,
                distributions={name: stored[name] for name in trial.params},
                intermediate_values=trial.intermediate_values,
                # Without the attributes of our own: samplers do not read them, and the copy would be slow.
                system_attrs={
                    key: value
                    for key, value in trial.system_attrs.items()
                    if is_same or not key.startswith(_CMA_STATE)
                },
            )
        )
    return told
