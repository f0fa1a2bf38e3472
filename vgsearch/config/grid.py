"""The combinations of a space: a few values of each range, every option of each choice, branch by branch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from vgsearch.config.choice import Choice, Tree
from vgsearch.config.distributions import (
    Categorical,
    Distribution,
    IntRange,
    LogUniform,
    Scalar,
    Uniform,
)
from vgsearch.config.search import SamplerConfig
from vgsearch.config.space import Space


def grid_values(distribution: Distribution, points: int) -> list[Scalar]:
    """The values that a grid takes of one searched value, in rising order, both ends included.

    Args:
        distribution: what the value may be; of a choice a grid takes every option.
        points: how many of a range, at least 2: evenly spaced, evenly in the logarithm for `!loguniform`.
            Of an `!int` they are rounded, and fewer where two would be the same.
    """
    steps = points - 1
    match distribution:
        case Categorical():
            return list(distribution.labels)
        case IntRange():
            width = distribution.high - distribution.low
            # Half rounds up, in whole numbers throughout.
            whole = {distribution.low + (2 * i * width + steps) // (2 * steps) for i in range(points)}
            return [*sorted(whole)]
        case Uniform():
            low, high = float(distribution.low), float(distribution.high)
            inner = [low * (1 - i / steps) + high * (i / steps) for i in range(1, steps)]
        case LogUniform():
            low, high = float(distribution.low), float(distribution.high)
            logs = math.log(low), math.log(high)
            inner = [math.exp(logs[0] * (1 - i / steps) + logs[1] * (i / steps)) for i in range(1, steps)]
    return [low, *(min(max(value, low), high) for value in inner), high]


def grid_size(space: Space, config: SamplerConfig) -> int:
    """How many combinations a grid over `space` has, counted without walking through them."""
    return _size(space.tree, config.grid_points)


def grid_combinations(
    space: Space, config: SamplerConfig
) -> Iterator[tuple[dict[str, Scalar], dict[str, Any]]]:
    """Walk through all combinations in file order, the last searched value fastest.

    A combination holds the values of the branches that it takes and no others, so conditional spaces have no
    combination twice.

    Yields:
        the searched values by name, and the decided `trial` section.
    """
    picks: list[int] = []
    while True:
        counts: list[int] = []
        values: dict[str, Scalar] = {}

        def suggest(
            name: str,
            distribution: Distribution,
            picks: list[int] = picks,
            counts: list[int] = counts,
            values: dict[str, Scalar] = values,
        ) -> Scalar:
            candidates = grid_values(distribution, config.grid_points)
            if len(counts) == len(picks):  # a question that the last combination did not meet
                picks.append(0)
            values[name] = candidates[picks[len(counts)]]
            counts.append(len(candidates))
            return values[name]

        decided = space.propose(suggest)
        yield values, decided
        while picks and picks[-1] == counts[len(picks) - 1] - 1:
            picks.pop()
        if not picks:
            return
        picks[-1] += 1


def _size(tree: Tree, points: int) -> int:
    if isinstance(tree, Mapping):
        return math.prod(_size(child, points) for child in tree.values())
    if isinstance(tree, list):
        return math.prod(_size(child, points) for child in tree)
    if isinstance(tree, Choice):
        return sum(_size(option, points) for option in tree.options)
    if isinstance(tree, (Uniform, LogUniform, IntRange)):
        return len(grid_values(tree, points))
    return 1
