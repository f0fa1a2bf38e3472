"""What candidate ensembles are scored from: every member's stored descriptors of the splits that count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vgsearch.ensembling.objective import Objective
from vgsearch.ensembling.positives import Positives

Weights = NDArray[np.float64]
"""Shares of the members, float64 (m,), not negative; only their ratios count."""


@dataclass(frozen=True, eq=False)
class PotSplit:
    """One split as each of m members describes it.

    Attributes:
        databases: float32 (n, d_i) by member, rows of norm 1; memory maps do well.
        queries: float32 (q, d_i) by member.
        positives: of these queries in this database.
    """

    databases: Sequence[NDArray[np.float32]]
    queries: Sequence[NDArray[np.float32]]
    positives: Positives


@dataclass(frozen=True, eq=False)
class Tried:
    """One step that was tried from a base.

    Attributes:
        value: the objective in percent; where `hits` is None only what it was given up at.
        hits: bool (q,) over all splits; None where the step was given up.
        reason: why it was given up, "" otherwise.
    """

    value: float
    hits: NDArray[np.bool_] | None
    reason: str = ""


class Scorer(Protocol):
    """Scores candidate ensembles of one pot.

    What a call gives up never has the highest value of that call, unless the scorer has a statistical rule of
    its own for giving up, which it then states.
    """

    num_members: int
    objective: Objective

    def hits(self, weights: Weights) -> NDArray[np.bool_]:
        """Which queries an ensemble has right, bool (q,) over all splits."""

    def try_each(self, base: Weights, steps: Sequence[tuple[int, float]]) -> list[Tried]:
        """Score `base` with `amount` more of `member`, for each (member, amount), in their order."""
