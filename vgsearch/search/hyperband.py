"""Hyperband (Li et al., JMLR 2018): successive halving with several grace periods side by side.

Which grace period suits a search is not known beforehand: a short one saves most, but ends trials that
start slowly. Hyperband runs brackets with a grace of g, g * factor, g * factor^2, ... epochs; trials compete
within their bracket only.
"""

from __future__ import annotations

import math
from itertools import accumulate

from vgsearch.search.halving import rung_epochs

# The golden ratio's fractional part times 2^64, made odd.
_GOLDEN_64 = 0x9E3779B97F4A7C15


def bracket_graces(grace_epochs: int, reduction_factor: int, max_epochs: int) -> list[int]:
    """The grace period of each bracket, in epochs.

    There are floor(log_factor(max / grace)) + 1 of them, at least one, as in Algorithm 1 of the paper. Where
    the last period is as long as the trials, those of its bracket all run to their end.
    """
    rungs = rung_epochs(grace_epochs, reduction_factor, max_epochs + 1)
    return rungs or [grace_epochs]


def bracket_weights(num_brackets: int, reduction_factor: int) -> list[int]:
    """How many trials each bracket gets, in proportion: ceil(B * factor^s / (s + 1)), Algorithm 1, line 4.

    B is the number of brackets and s counts them down to 0, so the shortest grace gets the most trials.
    """
    return [math.ceil(num_brackets * reduction_factor**s / (s + 1)) for s in reversed(range(num_brackets))]


def bracket_of(number: int, weights: list[int]) -> int:
    """The bracket of a trial, by its number in the search alone.

    The numbers are dealt along multiples of the golden ratio (Fibonacci hashing): after any number of trials
    the brackets hold theirs in proportion to `weights`, to within a few. Optuna hashes the number, which
    leaves a bracket of a small search empty by chance.

    Args:
        number: of the trial, from 0.
        weights: see `bracket_weights`.
    """
    fraction = number * _GOLDEN_64 % 2**64
    place = fraction * sum(weights) >> 64
    return next(bracket for bracket, end in enumerate(accumulate(weights)) if place < end)
