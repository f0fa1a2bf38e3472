"""A space's questions, answered by an Optuna trial."""

from __future__ import annotations

from collections.abc import Callable

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial

from vgsearch.config.space import Categorical, Distribution, IntRange, LogUniform, Scalar, Uniform


def suggest_from(trial: Trial) -> Callable[[str, Distribution], Scalar]:
    """Answer a space's questions by an Optuna trial's suggestions."""

    def suggest(name: str, distribution: Distribution) -> Scalar:
        match distribution:
            case Uniform():
                return trial.suggest_float(name, distribution.low, distribution.high)
            case LogUniform():
                return trial.suggest_float(name, distribution.low, distribution.high, log=True)
            case IntRange():
                return trial.suggest_int(name, distribution.low, distribution.high)
            case Categorical():
                return trial.suggest_categorical(name, distribution.labels)

    return suggest


def optuna_distribution(distribution: Distribution) -> BaseDistribution:
    """The distribution that Optuna stores for a suggested value; that of `suggest_from`."""
    match distribution:
        case Uniform():
            return FloatDistribution(distribution.low, distribution.high)
        case LogUniform():
            return FloatDistribution(distribution.low, distribution.high, log=True)
        case IntRange():
            return IntDistribution(distribution.low, distribution.high)
        case Categorical():
            return CategoricalDistribution(distribution.labels)
