"""Recall along the straight line between two networks' weights, and the barrier on the way.

Two networks can be averaged where the line between them holds no barrier: linear mode connectivity (Frankle
et al., ICML 2020). A barrier here is how far the lowest point of the line lies below the straight line that
joins the recalls of the ends (Entezari et al., ICLR 2022; Frankle et al. take the mean of the ends' errors).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vgsearch.retrieval.recall import Recall

Hits = NDArray[np.bool_]
"""Which queries are right, bool (q,)."""

MIN_POINTS = 3
_ALPHA = 0.05
_BLOCK_DRAWS = 4_000_000
_ROUNDING = 1e-9  # of shares like 1/7
_SALT = 0x62617272  # keeps these draws apart from others of the same seed


@dataclass(frozen=True, eq=False)
class LinePoint:
    """A network on the line: the share `t` of the second in it, 0 to 1, and its right queries, bool (q,)."""

    t: float
    hits: Hits

    def recall(self, n: int) -> Recall:
        """Its recall, told that a hit is one among the `n` nearest; with Wilson's interval."""
        return Recall(n=n, hits=int(self.hits.sum()), num_queries=len(self.hits))


@dataclass(frozen=True)
class Barrier:
    """The lowest point of a line, seen from the straight line between its ends.

    Attributes:
        t: where it is, strictly between the ends.
        depth: how far below, as a part of all queries, -1 to 1; negative where every point lies above.
        low: of the 95% interval of the depth. It holds for all inner points at once, since the lowest is
            chosen among them.
        high: likewise.
        num_places: that were resampled.
    """

    t: float
    depth: float
    low: float
    high: float
    num_places: int

    @property
    def height(self) -> float:
        """The barrier, 0 to 1; none where no point lies below."""
        return max(0.0, self.depth)

    @property
    def is_real(self) -> bool:
        """Whether it is more than luck: the whole interval lies below the straight line."""
        return self.low > 0


def line_steps(num_points: int) -> list[float]:
    """`num_points` evenly spaced shares from 0 to 1, both included.

    Raises:
        ValueError: fewer than 3: there must be one between the ends.
    """
    if num_points < MIN_POINTS:
        raise ValueError(f"num_points >= {MIN_POINTS} must hold, but got {num_points}")
    return [i / (num_points - 1) for i in range(num_points)]


def trace_line(
    ends: tuple[Hits, Hits], steps: Sequence[float], score: Callable[[float], Hits]
) -> list[LinePoint]:
    """Score the networks on the line between two.

    Args:
        ends: right queries of the two; they are not scored again.
        steps: shares of the second in rising order, 0 first and 1 last.
        score: right queries of the network with a share of the second; called once for each inner share.

    Returns:
        A point for each share.
    """
    inner = [LinePoint(t, score(t)) for t in steps[1:-1]]
    return [LinePoint(steps[0], ends[0]), *inner, LinePoint(steps[-1], ends[1])]


def measure_barrier(
    points: Sequence[LinePoint],
    places: NDArray[np.int64],
    *,
    num_samples: int = 10_000,
    seed: int = 0,
) -> Barrier:
    """Find the lowest point of a line and say how sure its depth is.

    The depth at share t is the mean over queries of (1 - t) h0 + t h1 - ht, h being 1 where a query is right:
    paired, so queries that all networks answer alike add no uncertainty. Places are resampled with all their
    queries (see `paired_bootstrap`). With m inner points each interval is of level 1 - 0.05 / m (Bonferroni),
    so that the one of the lowest is to be believed although it was chosen.

    A resample is blind to what did not happen. Where so few places changed that all of them one way would be
    no proof (a sign test, 2^(1 - k) at the level above), the interval reaches at least as far as the part of
    places that may change unseen in all that were asked (Clopper & Pearson, Biometrika 1934), to both sides.

    Args:
        points: of `trace_line`, at least three.
        places: int64 (q,), equal numbers for queries of one place.
        num_samples: resamples, at least 1; the ends of the interval need some thousands.
        seed: the result is a function of the arguments and it alone.

    Raises:
        ValueError: fewer than three points, or lengths that differ.
    """
    if len(points) < MIN_POINTS or any(point.hits.shape != places.shape for point in points):
        raise ValueError(
            f"at least {MIN_POINTS} points over the same queries must be given, but got "
            f"{[point.hits.shape for point in points]} and places {places.shape}"
        )
    first, *inner, second = points
    ours, theirs = first.hits.astype(np.float64), second.hits.astype(np.float64)
    gaps = np.stack([(1 - p.t) * ours + p.t * theirs - p.hits for p in inner], axis=1)
    depths = gaps.mean(axis=0)
    lowest = int(np.argmax(depths))
    level = _ALPHA / len(inner)
    sums, sizes = _by_place(gaps[:, lowest], places)
    low, high = _interval(sums, sizes, level, num_samples, seed)
    num_changed = int((np.abs(sums) > _ROUNDING).sum())
    if 2.0 ** (1 - num_changed) >= level:
        unseen = 1 - (level / 2) ** (1 / len(sizes))
        low, high = min(low, -unseen), max(high, unseen)
    return Barrier(inner[lowest].t, float(depths[lowest]), low, high, len(sizes))


def _by_place(
    values: NDArray[np.float64], places: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The sum of `values` at each place, and its number of queries."""
    _, place_of = np.unique(places, return_inverse=True)
    sums = np.bincount(place_of, weights=values).astype(np.float64)
    return sums, np.bincount(place_of).astype(np.float64)


def _interval(
    sums: NDArray[np.float64], sizes: NDArray[np.float64], level: float, num_samples: int, seed: int
) -> tuple[float, float]:
    """Percentile interval of the mean over queries when places are resampled."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, _SALT]))
    means = np.empty(num_samples, dtype=np.float64)
    step = max(1, _BLOCK_DRAWS // len(sizes))
    for start in range(0, num_samples, step):
        count = min(step, num_samples - start)
        drawn = rng.integers(len(sizes), size=(count, len(sizes)))
        means[start : start + count] = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, [level / 2, 1 - level / 2])
    return float(low), float(high)
