"""Points of a scrambled Sobol sequence, which cover a space more evenly than random ones."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import qmc

from vgsearch.config.space import (
    Categorical,
    Distribution,
    IntRange,
    LogUniform,
    Scalar,
    Space,
    Suggest,
    Uniform,
)


def sobol_point(space: Space, seed: int, index: int, attempt: int = 0) -> Suggest:
    """Answer a space's questions by the coordinates of one point.

    Every parameter of every branch has a dimension of its own; those of branches that are not taken are not
    read. So a conditional space is covered evenly too, which Optuna's sampler refuses.

    Args:
        space: what is searched.
        seed: of the scrambling (Owen, 1998); one search has one.
        index: the point's place in the sequence, from 0.
        attempt: another number is another scrambling of the sequence, for a point that cannot be taken.
    """
    names = [parameter.name for parameter in space.parameters()]
    if not names:
        return lambda _, distribution: distribution.centre
    scrambling = np.random.default_rng([seed, attempt] if attempt else [seed])
    sequence = qmc.Sobol(len(names), scramble=True, seed=scrambling)
    if index:  # SciPy cannot go forward by nothing
        sequence.fast_forward(index)
    point = dict(zip(names, sequence.random(1)[0].tolist(), strict=True))
    return lambda name, distribution: at_fraction(distribution, point[name])


def at_fraction(distribution: Distribution, fraction: float) -> Scalar:
    """The value below which `fraction` (in [0, 1)) of a distribution lies."""
    match distribution:
        case Categorical():
            return distribution.labels[math.floor(fraction * len(distribution.labels))]
        case IntRange():
            return distribution.low + math.floor(fraction * (distribution.high - distribution.low + 1))
        case Uniform():
            value = distribution.low * (1 - fraction) + distribution.high * fraction
        case LogUniform():
            value = math.exp(
                math.log(distribution.low) * (1 - fraction) + math.log(distribution.high) * fraction
            )
    return float(min(max(value, distribution.low), distribution.high))
