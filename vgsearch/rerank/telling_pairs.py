"""Which pairs show what a new order did: candidates that lost or took the first place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Change = Literal["mended", "spoiled", "as right as before", "unchanged"]


@dataclass(frozen=True)
class TellingPair:
    """A query and a candidate that was its first prediction before or after.

    Attributes:
        query: Row of the queries.
        candidate: Row of the database.
        change: What became of the query's first prediction.
        rank_before: Of the candidate, from 1.
        rank_after: Likewise, in the new order.
    """

    query: int
    candidate: int
    change: Change
    rank_before: int
    rank_after: int


@dataclass(frozen=True)
class Changes:
    """Queries by what a new order did to their first prediction.

    Attributes:
        mended: Rows of queries whose first prediction became right, int64.
        spoiled: Of those where it became wrong.
        as_right: Of those where it is another one, right as before or wrong as before.
    """

    mended: NDArray[np.int64]
    spoiled: NDArray[np.int64]
    as_right: NDArray[np.int64]


def find_changes(
    before: NDArray[np.int64],
    after: NDArray[np.int64],
    right_before: NDArray[np.bool_],
    right_after: NDArray[np.bool_],
) -> Changes:
    """Sort queries by what became of their first prediction.

    Args:
        before: Rows of the database, best first, int64 (q, k).
        after: The same in the new order.
        right_before: Whether the first of `before` is right, bool (q,).
        right_after: Likewise of `after`.
    """
    changed = before[:, 0] != after[:, 0]
    return Changes(
        mended=np.flatnonzero(changed & ~right_before & right_after),
        spoiled=np.flatnonzero(changed & right_before & ~right_after),
        as_right=np.flatnonzero(changed & (right_before == right_after)),
    )


def telling_pairs(
    before: NDArray[np.int64], after: NDArray[np.int64], changes: Changes, count: int
) -> list[TellingPair]:
    """Choose pairs that let a person judge a new order, neither its best nor its worst.

    Of mended and spoiled queries equally many are taken where there are both, else those that there are; then
    others whose first prediction changed fill up. Those of a kind are evenly spaced over all of it. Each
    gives two pairs: with its first prediction before, and after. Where nothing changed, the first
    queries are taken with their first predictions.

    Args:
        before: As of `find_changes`; negative entries fill up.
        after: Likewise.
        changes: What `find_changes` says of them.
        count: Most pairs, at least 2.
    """
    room = count // 2
    mended, spoiled = changes.mended, changes.spoiled
    if len(mended) and len(spoiled) and room > 1:
        each = min(len(mended), len(spoiled), room // 2)
        mended, spoiled = _spread(mended, each), _spread(spoiled, each)
    else:
        mended = _spread(mended, room)
        spoiled = _spread(spoiled, room - len(mended))
    as_right = _spread(changes.as_right, room - len(mended) - len(spoiled))
    kinds: list[tuple[Change, NDArray[np.int64]]] = [
        ("mended", mended),
        ("spoiled", spoiled),
        ("as right as before", as_right),
    ]
    pairs = [
        _pair(before, after, query, int(order[query, 0]), change)
        for change, queries in kinds
        for query in queries.tolist()
        for order in (before, after)
    ]
    if pairs:
        return pairs
    found = np.flatnonzero(before[:, 0] >= 0)[:count]
    return [_pair(before, after, query, int(before[query, 0]), "unchanged") for query in found.tolist()]


def _spread(queries: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """At most `count` of them, evenly spaced from the first to the last."""
    if count >= len(queries):
        return queries
    return queries[np.linspace(0, len(queries) - 1, max(count, 0)).round().astype(np.int64)]


def _pair(
    before: NDArray[np.int64], after: NDArray[np.int64], query: int, candidate: int, change: Change
) -> TellingPair:
    ranks = [int(np.flatnonzero(order[query] == candidate)[0]) + 1 for order in (before, after)]
    return TellingPair(query, candidate, change, *ranks)
