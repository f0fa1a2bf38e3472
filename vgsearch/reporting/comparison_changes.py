"""The queries that are right in just one of two models: which, and where their first positive went."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vgsearch.retrieval.recall import RetrievalResult

_COLUMNS = ("split", "recall_at", "change", "query", "image", "rank_a", "rank_b", "utm_east_m", "utm_north_m")


@dataclass(frozen=True)
class Change:
    """One query that just one of two models gets right.

    Attributes:
        split: Whose query it is.
        n: At which recall.
        kind: "gained" if B alone is right, "lost" if A alone is.
        query: Its row.
        image: Its path in the query folder; empty if the images are not at hand.
        rank_a: Rank of the first positive in A, from 1; None beyond the depth that was judged.
        rank_b: The same in B.
        depth: How many neighbours were judged.
        utm_m: East and north in metres; None where they are unknown.
    """

    split: str
    n: int
    kind: Literal["gained", "lost"]
    query: int
    image: str
    rank_a: int | None
    rank_b: int | None
    depth: int
    utm_m: tuple[float, float] | None

    @property
    def distance(self) -> int:
        """By how many ranks it moved, a rank beyond the depth taken as the next one."""
        beyond = self.depth + 1
        return abs((self.rank_a or beyond) - (self.rank_b or beyond))

    def ranks(self) -> str:
        """`7 -> 1`, or `1 -> >20`."""
        shown = (f">{self.depth}" if rank is None else str(rank) for rank in (self.rank_a, self.rank_b))
        return " -> ".join(shown)


def find_changes(
    split: str, first: RetrievalResult, second: RetrievalResult, n: int, names: Sequence[str] | None = None
) -> list[Change]:
    """List the queries that changed at `n`, those whose first positive moved furthest first.

    Args:
        split: Its name.
        first: A's result.
        second: B's, with the same stamp.
        n: Recall at how many.
        names: The queries' image paths, length q; None if they are not at hand.

    Raises:
        ValueError: The two have other numbers of queries or judged depths, or `n` is beyond these.
    """
    if first.num_queries != second.num_queries or first.depth != second.depth:
        raise ValueError("two results on the same queries, judged to the same depth, must be given")
    hits_a, hits_b = first.hits_at(n), second.hits_at(n)
    changes = [
        Change(
            split=split,
            n=n,
            kind="gained" if hits_b[row] else "lost",
            query=row,
            image="" if names is None else names[row],
            rank_a=_rank(first, row),
            rank_b=_rank(second, row),
            depth=first.depth,
            utm_m=None if first.query_utm_m is None else tuple(map(float, first.query_utm_m[row])),  # type: ignore[arg-type]
        )
        for row in np.flatnonzero(hits_a != hits_b).tolist()
    ]
    return sorted(changes, key=lambda change: (-change.distance, change.query))


def change_lines(changes: Sequence[Change], limit: int) -> list[str]:
    """Up to `limit` gained and as many lost queries, one line each, and how many more there are."""
    lines = []
    for kind in ("gained", "lost"):
        own = [change for change in changes if change.kind == kind]
        for change in own[:limit]:
            lines.append(f"  {kind:<6}  {change.ranks():>10}  {change.image or f'query {change.query}'}")
        if len(own) > limit:
            lines.append(f"  {kind:<6}  and {len(own) - limit} more")
    return lines


def changes_csv(changes: Iterable[Change]) -> bytes:
    """All changes as a table; a rank beyond the judged depth is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for change in changes:
        east, north = change.utm_m or ("", "")
        ranks = ["" if rank is None else rank for rank in (change.rank_a, change.rank_b)]
        writer.writerow(
            [change.split, change.n, change.kind, change.query, change.image, *ranks, east, north]
        )
    return text.getvalue().encode("utf-8")


def _rank(result: RetrievalResult, row: int) -> int | None:
    rank = int(result.first_hit_rank[row])
    return None if rank < 0 else rank + 1
