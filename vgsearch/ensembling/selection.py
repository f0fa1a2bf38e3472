"""Which members an ensemble takes: greedily with replacement, or the best k; functions over a scorer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vgsearch.ensembling.pot import Scorer, Tried, Weights


@dataclass(frozen=True, eq=False)
class Round:
    """One member more.

    Attributes:
        member: who was taken, by position in the pot.
        value: the objective with it, in percent.
        hits: bool (q,), with it.
        num_equal: how many candidates the seed decided between.
        num_given_up: candidates that were not scored in full.
        bag: which bag it belongs to, from 0.
        share: the member's weight after it, 0 to 1, where weights are fitted; None elsewhere.
    """

    member: int
    value: float
    hits: NDArray[np.bool_]
    num_equal: int = 1
    num_given_up: int = 0
    bag: int = 0
    share: float | None = None


@dataclass(frozen=True, eq=False)
class Selection:
    """What was selected, and how.

    Attributes:
        counts: float64 (m,), how often each member of the pot was taken.
        rounds: every round, those beyond the best included.
        num_taken: by bag, how many of its rounds are in `counts`: up to the first with the highest value.
    """

    counts: Weights
    rounds: tuple[Round, ...]
    num_taken: tuple[int, ...] = field(default=(0,))

    def taken(self, index: int) -> bool:
        """Whether a round is part of the selection."""
        bag = self.rounds[index].bag
        place = index - next(i for i, each in enumerate(self.rounds) if each.bag == bag)
        return place < self.num_taken[bag]


def greedy(
    scorer: Scorer,
    *,
    size: int,
    seed: int = 0,
    replacement: bool = True,
    bags: int = 1,
    bag_fraction: float = 0.5,
) -> Selection:
    """Add, round by round, the member with which the ensemble is best (Caruana et al., ICML 2004).

    The first round takes the best single member. All rounds are played, also those in which every addition
    costs something; then the ensemble is cut back to the first round with the highest value. Of equal
    additions, members that are there already go first, since they cost no further network.

    Args:
        scorer: of the pot.
        size: rounds at most, at least 1.
        seed: decides between additions that are equal still, and draws the bags.
        replacement: whether a member may be taken again, which gives it more weight.
        bags: selections, each on a random part of the pot, whose counts are added up (the paper's bagging).
        bag_fraction: that part, above 0 and at most 1; not used with one bag.

    Raises:
        ValueError: `size` or `bags` below 1, or `bag_fraction` outside 0-1.
    """
    if size < 1 or bags < 1 or not 0 < bag_fraction <= 1:
        raise ValueError(
            f"size >= 1, bags >= 1 and 0 < bag_fraction <= 1 must hold, got {size}, {bags}, {bag_fraction}"
        )
    counts = np.zeros(scorer.num_members)
    rounds: list[Round] = []
    num_taken = []
    for bag in range(bags):
        rng = np.random.default_rng([seed, bag])
        members = list(range(scorer.num_members))
        if bags > 1:
            drawn = max(1, round(bag_fraction * len(members)))
            members = sorted(rng.choice(len(members), size=drawn, replace=False).tolist())
        played = _rounds(scorer, members, size, replacement, rng, bag)
        values = [each.value for each in played]
        taken = values.index(max(values)) + 1
        for each in played[:taken]:
            counts[each.member] += 1
        rounds += played
        num_taken.append(taken)
    return Selection(counts, tuple(rounds), tuple(num_taken))


def take_best(scorer: Scorer, values: Sequence[float], k: int) -> Selection:
    """Take the `k` members with the highest `values`, equals by their order, with equal weights.

    The rounds say what the best 1, 2, ... k make together; none is cut back, since k was asked for.
    """
    order = sorted(range(len(values)), key=lambda member: -values[member])[:k]
    counts = np.zeros(scorer.num_members)
    rounds = []
    for member in order:
        (tried,) = scorer.try_each(counts, [(member, 1.0)])
        assert tried.hits is not None  # a single step is the best of its call
        rounds.append(Round(member, tried.value, tried.hits))
        counts[member] += 1
    return Selection(counts, tuple(rounds), (len(rounds),))


def _rounds(
    scorer: Scorer,
    members: list[int],
    size: int,
    replacement: bool,
    rng: np.random.Generator,
    bag: int,
) -> list[Round]:
    counts = np.zeros(scorer.num_members)
    played: list[Round] = []
    while len(played) < size and members:
        tried = scorer.try_each(counts, [(member, 1.0) for member in members])
        best, equal = _best(tried)
        # A member that is there already costs no further network.
        equal = [i for i in equal if counts[members[i]]] or equal
        chosen = equal[int(rng.integers(len(equal)))] if len(equal) > 1 else equal[0]
        hits = tried[chosen].hits
        assert hits is not None  # `_best` leaves out what was given up
        given_up = sum(each.hits is None for each in tried)
        played.append(Round(members[chosen], best, hits, len(equal), given_up, bag))
        counts[members[chosen]] += 1
        if not replacement:
            members.pop(chosen)
    return played


def _best(tried: Sequence[Tried]) -> tuple[float, list[int]]:
    """The highest value that was reached, and where."""
    best = max(each.value for each in tried if each.hits is not None)
    return best, [i for i, each in enumerate(tried) if each.hits is not None and each.value == best]
