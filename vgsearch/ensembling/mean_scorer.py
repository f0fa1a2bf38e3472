"""Candidate ensembles by the mean of descriptors: each costs its own matrix product.

The similarity of two means holds the product of every member's query with every other member's database, so
kept similarities do not help. What helps is to stop early: see `DROP_RULE`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vgsearch.ensembling.ensemble_scoring import BLOCK_ROWS, block_ranks, full_float32, to_device
from vgsearch.ensembling.objective import Objective
from vgsearch.ensembling.pot import PotSplit, Tried, Weights

Z_DROP = 4.0
DROP_RULE = (
    "queries are taken in a random order; after each block of 1,024 a candidate is given up where its "
    "difference to the best so far on the same queries, plus 4 standard errors (paired, of a sample without "
    "replacement), is below zero"
)

_SALT = 0x6D65616E  # keeps these draws apart from others of the same seed


class MeanScorer:
    """Scores normalised weighted means of descriptors.

    In memory are the sums of the base (q x d and n x d) and one block of similarities.
    """

    def __init__(
        self,
        splits: Sequence[PotSplit],
        objective: Objective,
        *,
        device: torch.device | str = "cpu",
        drop_early: bool = True,
        seed: int = 0,
    ) -> None:
        """Take a pot.

        Args:
            splits: the pot on each split of `objective`; all members' descriptors of one length.
            objective: what `Tried.value` is.
            device: where to compute.
            drop_early: whether `DROP_RULE` holds; without it every candidate is scored in full.
            seed: draws the order of the queries.
        """
        self.num_members = len(splits[0].databases)
        self.objective = objective
        self.num_products = 0.0
        self._splits = splits
        self._device = device
        self._drop_early = drop_early
        self._last: NDArray[np.float64] = np.zeros(self.num_members)
        self._order = [
            np.random.default_rng([seed, number, _SALT]).permutation(split.positives.num_queries)
            for number, split in enumerate(splits)
        ]
        self._ordered = [split.positives.of(order) for split, order in zip(splits, self._order, strict=True)]

    def hits(self, weights: Weights) -> NDArray[np.bool_]:
        """See `Scorer.hits`."""
        member = int(np.flatnonzero(weights)[0])
        rest = weights.copy()
        rest[member] = 0
        hits = self._scored(self._sums(rest), member, float(weights[member]), None)
        assert hits is not None  # nothing is dropped without a leader
        return hits

    def try_each(self, base: Weights, steps: Sequence[tuple[int, float]]) -> list[Tried]:
        """See `Scorer.try_each`; those that did well before go first, so that others are given up sooner."""
        sums = self._sums(base)
        tried: dict[int, Tried] = {}
        leader: NDArray[np.bool_] | None = None
        best = -math.inf
        for i in sorted(range(len(steps)), key=lambda i: (-self._last[steps[i][0]], i)):
            member, amount = steps[i]
            hits = self._scored(sums, member, amount, leader if self._drop_early else None)
            if hits is None:
                tried[i] = Tried(best, None, "given up early")
                continue
            value = self.objective.percent(hits)
            tried[i] = Tried(value, hits)
            self._last[member] = value
            if value > best:
                best, leader = value, hits
        return [tried[i] for i in range(len(steps))]

    def _sums(self, weights: Weights) -> list[tuple[Tensor, Tensor] | None]:
        """Weighted sums of database and queries (in their drawn order) by split; None for no member."""
        members = np.flatnonzero(weights).tolist()
        if not members:
            return [None] * len(self._splits)
        sums: list[tuple[Tensor, Tensor] | None] = []
        for number in range(len(self._splits)):
            database, queries = (rows * float(weights[members[0]]) for rows in self._rows(number, members[0]))
            for member in members[1:]:
                for total, rows in zip((database, queries), self._rows(number, member), strict=True):
                    total.add_(rows, alpha=float(weights[member]))
            sums.append((database, queries))
        return sums

    def _rows(self, number: int, member: int) -> tuple[Tensor, Tensor]:
        split = self._splits[number]
        queries = to_device(split.queries[member][self._order[number]], self._device)
        return to_device(split.databases[member], self._device), queries

    def _scored(
        self,
        sums: Sequence[tuple[Tensor, Tensor] | None],
        member: int,
        amount: float,
        leader: NDArray[np.bool_] | None,
    ) -> NDArray[np.bool_] | None:
        """Hits of the base with a step, bool (q,); None where it was given up against `leader`."""
        hits = np.zeros(self.objective.num_queries, dtype=bool)
        done = np.zeros(self.objective.num_queries, dtype=bool)
        start = 0
        with full_float32(), torch.inference_mode():
            for number, base in enumerate(sums):
                database, queries = self._rows(number, member)
                if base is not None:
                    database = torch.add(base[0], database, alpha=amount)
                    queries = torch.add(base[1], queries, alpha=amount)
                # A query's own length changes none of its ranks, so only the database is normalised.
                transposed = torch.nn.functional.normalize(database, dim=1).T
                order, positives = self._order[number], self._ordered[number]
                buffer = torch.empty((min(BLOCK_ROWS, len(order)), len(database)), device=self._device)
                for first in range(0, len(order), BLOCK_ROWS):
                    rows = queries[first : first + BLOCK_ROWS]
                    similarities = torch.mm(rows, transposed, out=buffer[: len(rows)])
                    ranks = block_ranks(similarities, positives, first, self.objective.n)
                    own = start + order[first : first + len(rows)]
                    hits[own] = ranks >= 0
                    done[own] = True
                    self.num_products += len(rows) / self.objective.num_queries
                    if leader is not None and not done.all() and self._hopeless(hits, leader, done):
                        return None
                start += len(order)
        return hits

    def _hopeless(self, hits: NDArray[np.bool_], leader: NDArray[np.bool_], done: NDArray[np.bool_]) -> bool:
        """Whether `DROP_RULE` gives a candidate up, from the queries that are done."""
        total = 0.0
        variance = 0.0
        start = 0
        for size in self.objective.split_sizes:
            rows = slice(start, start + size)
            start += size
            difference = hits[rows][done[rows]].astype(np.float64) - leader[rows][done[rows]]
            count = len(difference)
            if count == 0:
                # Nothing is known of this split yet: the candidate may be right wherever the leader is not.
                total += 1.0 - float(leader[rows].mean())
                continue
            total += float(difference.mean())
            variance += float(difference.var()) / count * (1 - count / size)
        return total + Z_DROP * math.sqrt(variance) < 0
