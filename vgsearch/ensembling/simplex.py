"""Weights on the simplex for a similarity ensemble, fitted on the criterion itself.

Recall is constant almost everywhere as a function of the weights, so it has no gradient to follow. The search
is derivative-free: a pattern search over the directions to and from each member (a compass search, Kolda et
al., SIAM Review 2003). Every step tries to move each member's weight up and down by a few fixed shares of the
whole, and takes the move that raises the criterion most. It starts from equal weights and, once more, from
what greedy selection takes, and keeps the better end. It only ever goes up, so it never ends below equal
weights on the queries that it was fitted on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vgsearch.ensembling.pot import Weights
from vgsearch.ensembling.selection import Round, greedy
from vgsearch.ensembling.similarity_scorer import SimilarityScorer

SHARES = (0.5, 0.25, 0.1, 0.05, 0.02)
"""By how much of the whole a step moves one member's weight."""

GREEDY_ROUNDS = 10

_LEAST_WEIGHT = 1e-9
_SALT = 0x73696D70  # keeps these draws apart from others of the same seed


@dataclass(frozen=True, eq=False)
class SimplexFit:
    """Fitted weights.

    Attributes:
        weights: float64 (m,), sum 1.
        rounds: the start (whose `member` is -1) and every step taken.
        start: "equal weights" or "the greedy selection": where the better end was reached from.
    """

    weights: Weights
    rounds: tuple[Round, ...]
    start: str


def fit_simplex(scorer: SimilarityScorer, *, seed: int = 0, max_steps: int = 30) -> SimplexFit:
    """Fit weights.

    Args:
        scorer: of the pot.
        seed: decides between steps of equal value.
        max_steps: steps at most from each start; it ends sooner where no step helps.

    Returns:
        Weights whose value is at least that of equal weights, by the scorer's own count.
    """
    equal = np.full(scorer.num_members, 1.0 / scorer.num_members)
    chosen = greedy(scorer, size=GREEDY_ROUNDS, seed=seed).counts
    ends = [
        _climb(scorer, start, np.random.default_rng([seed, number, _SALT]), max_steps)
        for number, start in enumerate((equal, chosen / chosen.sum()))
    ]
    names = ("equal weights", "the greedy selection")
    best = max(range(2), key=lambda number: ends[number][1][-1].value)  # equal weights, of equals
    weights, rounds = ends[best]
    return SimplexFit(weights, rounds, names[best])


def _climb(
    scorer: SimilarityScorer, weights: Weights, rng: np.random.Generator, max_steps: int
) -> tuple[Weights, tuple[Round, ...]]:
    """Take the best step as long as one helps."""
    hits = scorer.hits(weights)
    rounds = [Round(-1, scorer.objective.percent(hits), hits)]
    for _ in range(max_steps):
        steps = _steps(weights)
        tried = scorer.try_each(weights, steps)
        best = max((each.value for each in tried if each.hits is not None), default=-1.0)
        if best <= rounds[-1].value:
            break
        equal = [i for i, each in enumerate(tried) if each.hits is not None and each.value == best]
        taken = equal[int(rng.integers(len(equal)))]
        member, amount = steps[taken]
        weights = weights.copy()
        weights[member] = max(0.0, weights[member] + amount)
        step_hits = tried[taken].hits
        assert step_hits is not None  # what was given up is not among `equal`
        share = float(weights[member] / weights.sum())
        rounds.append(Round(member, best, step_hits, len(equal), share=share))
    kept = np.where(weights / weights.sum() > _LEAST_WEIGHT, weights, 0.0)
    return kept / kept.sum(), tuple(rounds)


def _steps(weights: Weights) -> list[tuple[int, float]]:
    """Amounts that move a member's share up by s or down by s (at least to nothing)."""
    total = float(weights.sum())
    steps: list[tuple[int, float]] = []
    for member, weight in enumerate(weights.tolist()):
        for share in SHARES:
            # (weight + a) / (total + a) = weight / total + share, where that is still below 1.
            target = weight / total + share
            if target < 1:
                steps.append((member, (target * total - weight) / (1 - target)))
        if 0 < weight < total:
            steps.append((member, -weight))
            steps.append((member, -weight / 2))
    return steps
