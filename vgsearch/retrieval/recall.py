"""Recall at N with its uncertainty, and the per-query outcome that every later comparison needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vgsearch.errors import DataError
from vgsearch.retrieval.npz import npz_bytes, read_npz

Z_95 = 1.959963984540054  # the standard normal's 97.5% point
RECALL_NS = (1, 5, 10, 20)
DEPTH = max(RECALL_NS)


@dataclass(frozen=True)
class Recall:
    """The part of queries that found a positive among their `n` nearest database images.

    Raises:
        ValueError: `num_queries` or `n` below 1, or `hits` outside 0..num_queries.
    """

    n: int
    hits: int
    num_queries: int

    def __post_init__(self) -> None:
        if self.n < 1 or self.num_queries < 1 or not 0 <= self.hits <= self.num_queries:
            raise ValueError(
                "1 <= n and 0 <= hits <= num_queries >= 1 must hold, but got "
                f"n={self.n}, hits={self.hits}, num_queries={self.num_queries}"
            )

    @property
    def value(self) -> float:
        """The recall, 0 to 1."""
        return self.hits / self.num_queries

    @property
    def percent(self) -> float:
        """The recall, 0 to 100."""
        return 100.0 * self.value

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95% score interval (JASA 1927), both ends 0 to 1; it takes queries as independent."""
        q, p = self.num_queries, self.value
        shrink = 1.0 + Z_95**2 / q
        centre = (p + Z_95**2 / (2 * q)) / shrink
        half = Z_95 * math.sqrt(p * (1 - p) / q + Z_95**2 / (4 * q * q)) / shrink
        # The ends are exactly 0 and 1 at no hits and at all hits; rounding would leave 1e-17 there.
        low = 0.0 if self.hits == 0 else max(0.0, centre - half)
        high = 1.0 if self.hits == q else min(1.0, centre + half)
        return low, high

    def __str__(self) -> str:
        """`63.0 [59.1, 66.7]`, in percent."""
        low, high = self.interval
        return f"{self.percent:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


@dataclass(frozen=True, eq=False)
class RetrievalResult:
    """What one network did on one retrieval set, query by query.

    Attributes:
        set_name: the retrieval set's name (may be empty).
        first_hit_rank: int32 (q,), the 0-based rank of the first positive among the `depth` nearest, else -1.
        num_without_positive: queries with no positive anywhere in the database; they count as failures.
        stamp: what was asked of the network (queries, threshold, resize, query method); only results with
            the same stamp may be compared.
        depth: how many neighbours were judged; recall beyond it is unknown.
        query_utm_m: float64 (q, 2), east and north of the queries in metres, or None where they are unknown.
        query_extraction_s: seconds that describing the queries took, decoding included; None where they were
            described already, or nobody asked.
        neighbour_ids: int64 (q, depth), rows of the database, nearest first, -1 where there are no more; None
            where nobody asked.

    Raises:
        ValueError: a rank outside -1..depth-1, no queries, or arrays that do not fit each other.
    """

    set_name: str
    first_hit_rank: NDArray[np.int32]
    num_without_positive: int
    stamp: str
    depth: int = DEPTH
    query_utm_m: NDArray[np.float64] | None = None
    query_extraction_s: float | None = None
    neighbour_ids: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        ranks = np.array(self.first_hit_rank, dtype=np.int32)
        if ranks.ndim != 1 or len(ranks) == 0 or ranks.min() < -1 or ranks.max() >= self.depth:
            raise ValueError(f"ranks must be a non-empty vector in -1..{self.depth - 1}, got {ranks!r}")
        if not 0 <= self.num_without_positive <= int((ranks < 0).sum()):
            raise ValueError(
                f"{self.num_without_positive} queries without a positive, but {int((ranks < 0).sum())} misses"
            )
        ranks.setflags(write=False)
        object.__setattr__(self, "first_hit_rank", ranks)
        if self.query_utm_m is not None:
            utm_m = np.array(self.query_utm_m, dtype=np.float64)
            if utm_m.shape != (len(ranks), 2):
                raise ValueError(f"query_utm_m must be ({len(ranks)}, 2), got {utm_m.shape}")
            utm_m.setflags(write=False)
            object.__setattr__(self, "query_utm_m", utm_m)
        if self.neighbour_ids is not None:
            ids = np.array(self.neighbour_ids, dtype=np.int64)
            if ids.shape != (len(ranks), self.depth):
                raise ValueError(f"neighbour_ids must be ({len(ranks)}, {self.depth}), got {ids.shape}")
            ids.setflags(write=False)
            object.__setattr__(self, "neighbour_ids", ids)
        if self.query_extraction_s is not None and not 0 <= self.query_extraction_s < math.inf:
            raise ValueError(f"query_extraction_s must be 0 or more, got {self.query_extraction_s}")

    @property
    def num_queries(self) -> int:
        """How many queries were asked, those without a positive included."""
        return len(self.first_hit_rank)

    def hits_at(self, n: int) -> NDArray[np.bool_]:
        """Which queries are right at `n`: bool (q,).

        Raises:
            ValueError: `n` outside 1..depth.
        """
        if not 1 <= n <= self.depth:
            raise ValueError(f"1 <= n <= depth must hold, but got n={n}, depth={self.depth}")
        return np.asarray((self.first_hit_rank >= 0) & (self.first_hit_rank < n))

    def at(self, n: int) -> Recall:
        """Recall at `n`; `ValueError` outside 1..depth."""
        return Recall(n=n, hits=int(self.hits_at(n).sum()), num_queries=self.num_queries)

    def recalls(self, ns: Sequence[int] = RECALL_NS) -> tuple[Recall, ...]:
        """Recall at each of `ns`, in their order."""
        return tuple(self.at(n) for n in ns)

    def summary(self, ns: Sequence[int] = RECALL_NS) -> str:
        """One line in percent; it says how many queries could not have been right."""
        recalls = ", ".join(f"R@{recall.n} {recall}" for recall in self.recalls(ns))
        lost = self.num_without_positive
        note = f"; {lost} of them have no positive and count as failures" if lost else ""
        return f"{recalls} ({self.num_queries} queries{note})"

    def to_npz_bytes(self) -> bytes:
        """The result as an `.npz` file without pickled objects; equal results give equal bytes."""
        arrays: dict[str, NDArray[Any]] = {
            "set_name": np.array(self.set_name),
            "stamp": np.array(self.stamp),
            "depth": np.array(self.depth, dtype=np.int64),
            "num_without_positive": np.array(self.num_without_positive, dtype=np.int64),
            "first_hit_rank": self.first_hit_rank,
        }
        if self.query_utm_m is not None:
            arrays["query_utm_m"] = self.query_utm_m
        if self.query_extraction_s is not None:
            arrays["query_extraction_s"] = np.array(self.query_extraction_s, dtype=np.float64)
        if self.neighbour_ids is not None:
            arrays["neighbour_ids"] = self.neighbour_ids
        return npz_bytes(arrays)

    @classmethod
    def from_npz(cls, source: bytes | Path) -> RetrievalResult:
        """Read what `to_npz_bytes` wrote, from its bytes or from a file.

        Raises:
            DataError: the file is missing or damaged, or does not hold a result.
        """
        arrays = read_npz(source)
        seconds = arrays.get("query_extraction_s")
        try:
            return cls(
                set_name=str(arrays["set_name"].item()),
                first_hit_rank=arrays["first_hit_rank"],
                num_without_positive=int(arrays["num_without_positive"]),
                stamp=str(arrays["stamp"].item()),
                depth=int(arrays["depth"]),
                query_utm_m=arrays.get("query_utm_m"),
                query_extraction_s=None if seconds is None else float(seconds),
                neighbour_ids=arrays.get("neighbour_ids"),
            )
        except (KeyError, ValueError, TypeError) as error:
            named = str(source) if isinstance(source, Path) else f"{len(source)} bytes"
            raise DataError(f"{named} hold no per-query results ({error}); score again") from error
