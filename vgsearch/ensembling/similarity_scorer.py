"""Candidate ensembles by similarity: kept similarities are added up, nothing is multiplied twice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vgsearch.ensembling.ensemble_scoring import NEVER, block_ranks, full_float32, to_device
from vgsearch.ensembling.objective import Objective
from vgsearch.ensembling.pot import PotSplit, Tried, Weights
from vgsearch.ensembling.shortlist import MAX_KEPT, Shortlist, best_positive, blocks, build_shortlist

_SLACK = 1e-5
"""More than float32 rounding moves a similarity; a query that is this near its bound is multiplied out."""


class SimilarityScorer:
    """Scores weighted sums of similarities, exactly as if all were there (see `shortlist`).

    In memory are the shortlists of all members and the similarities of the current base to every image
    (q x n, once), however many members there are.
    """

    def __init__(
        self,
        splits: Sequence[PotSplit],
        objective: Objective,
        *,
        device: torch.device | str = "cpu",
        max_kept: int = MAX_KEPT,
    ) -> None:
        """Multiply all members out once.

        Args:
            splits: the pot on each split of `objective`, best member first.
            objective: what `Tried.value` is.
            device: where to compute.
            max_kept: length of the shortlists; longer ones leave fewer queries to be multiplied out.
        """
        self.num_members = len(splits[0].databases)
        self.objective = objective
        with full_float32(), torch.inference_mode():
            self._parts = [_SplitSums(split, objective.n, device, max_kept) for split in splits]
        self._base: Weights | None = None

    @property
    def num_multiplied_out(self) -> int:
        """Queries that shortlists could not answer so far, over all candidates."""
        return sum(part.num_multiplied_out for part in self._parts)

    def hits(self, weights: Weights) -> NDArray[np.bool_]:
        """See `Scorer.hits`."""
        with full_float32(), torch.inference_mode():
            self._set_base(weights)
            return np.concatenate([part.base_hits() for part in self._parts])

    def try_each(self, base: Weights, steps: Sequence[tuple[int, float]]) -> list[Tried]:
        """See `Scorer.try_each`; an amount may be negative, down to what the base has of the member."""
        with full_float32(), torch.inference_mode():
            self._set_base(base)
            return self._try_each(steps)

    def _try_each(self, steps: Sequence[tuple[int, float]]) -> list[Tried]:
        judged = [[part.judge(member, amount) for part in self._parts] for member, amount in steps]
        highest = [self._percent([known | unknown for known, unknown in each]) for each in judged]
        tried = [Tried(value, None, "cannot reach the best") for value in highest]
        best = max((self._percent([known for known, _ in each]) for each in judged), default=0.0)
        for i in sorted(range(len(steps)), key=lambda i: -highest[i]):
            if highest[i] < best:
                break
            member, amount = steps[i]
            solved = [
                part.solve(member, amount, known, unknown)
                for part, (known, unknown) in zip(self._parts, judged[i], strict=True)
            ]
            hits = np.concatenate(solved)
            tried[i] = Tried(self.objective.percent(hits), hits)
            best = max(best, tried[i].value)
        return tried

    def _percent(self, hits: Sequence[NDArray[np.bool_]]) -> float:
        return self.objective.percent(np.concatenate(hits))

    def _set_base(self, weights: Weights) -> None:
        before = self._base
        if before is None or (weights < before).sum() > 1 or not before.any():
            for part in self._parts:
                part.clear()
            before = np.zeros(self.num_members)
        for member in np.flatnonzero(weights != before).tolist():
            for part in self._parts:
                part.add(member, float(weights[member] - before[member]))
        if self._base is None or not np.array_equal(weights, self._base):
            for part in self._parts:
                part.refresh(float(weights.sum()))
        self._base = weights.copy()


class _SplitSums:
    """One split: sums of the base, and the base with a step."""

    def __init__(self, split: PotSplit, n: int, device: torch.device | str, max_kept: int) -> None:
        self.num_multiplied_out = 0
        self._split, self._n, self._device = split, n, device
        self._list: Shortlist = build_shortlist(split, device, max_kept=max_kept)
        self._num_queries = split.positives.num_queries
        self._sums = torch.zeros((len(self._list.asked), split.positives.num_database), device=device)
        self._flat = torch.from_numpy(self._list.flat).to(device)
        self._kept = torch.zeros_like(self._list.kept[0])
        self._near = np.zeros_like(self._list.near[0])
        self._outside = torch.zeros_like(self._list.outside[0])
        self._total = 0.0

    def clear(self) -> None:
        """Go back to an empty base."""
        self._sums.zero_()

    def add(self, member: int, amount: float) -> None:
        """Add a member to the base: its one matrix product."""
        self._sums.addmm_(self._queries(member), self._database(member), alpha=amount)

    def refresh(self, total: float) -> None:
        """Read what the shortlists need from the sums of the base."""
        ids = self._list.ids
        torch.gather(self._sums, 1, ids, out=self._kept)
        self._kept[self._list.kept[0] == NEVER] = NEVER * max(1.0, total)
        self._near = self._sums.view(-1)[self._flat].cpu().numpy()
        positives = self._list.positives
        for rows in blocks(len(ids)):
            block = self._sums[rows].clone()
            flat = torch.from_numpy(positives.block(rows.start, rows.stop)[1]).to(self._device)
            block.view(-1).index_fill_(0, flat, NEVER * max(1.0, total))
            block.scatter_(1, ids[rows], NEVER * max(1.0, total))
            torch.amax(block, dim=1, out=self._outside[rows])
        self._total = total

    def base_hits(self) -> NDArray[np.bool_]:
        """Hits of the base, bool (q,)."""
        hits = np.zeros(self._num_queries, dtype=bool)
        for rows in blocks(len(self._sums)):
            ranks = block_ranks(self._sums[rows].clone(), self._list.positives, rows.start, self._n)
            hits[self._list.asked[rows]] = ranks >= 0
        return hits

    def judge(self, member: int, amount: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Queries that are right with the step, and those that the shortlist cannot tell; bool (q,) each."""
        shortlist = self._list
        near = self._near + np.float32(amount) * shortlist.near[member]
        best = best_positive(near, shortlist.positives)
        bar = torch.from_numpy(best).to(self._device)
        kept = torch.add(self._kept, shortlist.kept[member], alpha=amount)
        if self._n == 1:  # what is most similar says it all, in one pass
            most = kept.amax(dim=1)
            ahead, equal = (most > bar).int(), most == bar
        else:
            ahead = (kept > bar[:, None]).sum(dim=1, dtype=torch.int32)
            equal = (kept == bar[:, None]).sum(dim=1, dtype=torch.int32)
        for i in torch.nonzero(equal).ravel().tolist():
            ahead[i] += self._equals_ahead(kept[i], near, best[i], i)
        if amount >= 0:
            bound = torch.add(self._outside, shortlist.outside[member], alpha=amount)
        else:
            bound = self._outside - amount  # a similarity is at least -1
        safe = bar > bound + _SLACK * (self._total + abs(amount))
        few = ahead < self._n
        return self._spread((few & safe).cpu().numpy()), self._spread((few & ~safe).cpu().numpy())

    def solve(
        self, member: int, amount: float, known: NDArray[np.bool_], unknown: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Hits with the step, bool (q,), the unknown queries multiplied out."""
        hits = known.copy()
        rows = np.flatnonzero(unknown[self._list.asked])
        if len(rows):
            self.num_multiplied_out += len(rows)
            own = self._sums[torch.from_numpy(rows).to(self._device)]
            own.addmm_(self._queries(member, rows), self._database(member), alpha=amount)
            ranks = block_ranks(own, self._list.positives.of(rows), 0, self._n)
            hits[self._list.asked[rows]] = ranks >= 0
        return hits

    def _equals_ahead(self, kept: Tensor, near: NDArray[np.float32], best: np.float32, row: int) -> int:
        positives = self._list.positives
        mine = slice(positives.starts[row], positives.starts[row + 1])
        first = int(positives.ids[mine][near[mine] == best].min())
        return int(((kept == float(best)) & (self._list.ids[row] < first)).sum())

    def _queries(self, member: int, rows: NDArray[np.int64] | None = None) -> Tensor:
        asked = self._list.asked if rows is None else self._list.asked[rows]
        return to_device(self._split.queries[member][asked], self._device)

    def _database(self, member: int) -> Tensor:
        return to_device(self._split.databases[member], self._device).T

    def _spread(self, asked: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """From the queries that have a positive to all queries."""
        everyone = np.zeros(self._num_queries, dtype=bool)
        everyone[self._list.asked] = asked
        return everyone
