"""Two results on the same queries: which is better, by how much, and is it more than luck?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from vgsearch.errors import DataError
from vgsearch.retrieval.bootstrap import (
    FEWEST_PLACES,
    PLACE_M,
    BootstrapDifference,
    grid_places,
    paired_bootstrap,
)
from vgsearch.retrieval.mcnemar import McNemar, mcnemar_exact, smallest_detectable_difference
from vgsearch.retrieval.recall import Recall, RetrievalResult

__all__ = [
    "PairedComparison",
    "asked_alike",
    "compare_results",
    "compare_splits",
    "mcnemar_exact",
    "paired_bootstrap",
    "require_same_stamp",
]

ALPHA = 0.05

Doubt = Literal["clustered", "few_places", "border"]
IN_WORDS: dict[Doubt, str] = {
    "clustered": "the two tests disagree: queries of one place are not independent, trust the interval",
    "few_places": f"fewer than {FEWEST_PLACES} places changed, too few for the interval to be trusted",
    "border": "the two tests disagree: the interval leaves out zero by little, which McNemar's exact test "
    "does not bear out; take it as not shown",
}


@dataclass(frozen=True)
class PairedComparison:
    """Recall at one N of two results with the same stamp; differences are second minus first, -1 to 1.

    Two tests look at it, and each sees too much in its own case. McNemar's is exact however few queries
    differ, but takes them as independent, which photos of one place are not. The bootstrap resamples places,
    but its interval is too narrow where few of them changed. So a difference counts as shown only where both
    see it, at 6 places or more.

    Attributes:
        first: Recall of the first.
        second: Recall of the second, on the same queries.
        mcnemar: The exact test over queries.
        bootstrap: The interval over places.
        detectable: The least true difference that McNemar's test would find in 4 of 5 cases, if this part of
            the queries differs; infinity where none can be found.
    """

    first: Recall
    second: Recall
    mcnemar: McNemar
    bootstrap: BootstrapDifference
    detectable: float

    @property
    def better(self) -> Literal["first", "second"] | None:
        """Which of the two is better, beyond luck; None where they cannot be told apart."""
        if self.mcnemar.p_value >= ALPHA or not self.bootstrap.excludes_zero or self.doubt is not None:
            return None
        return "second" if self.bootstrap.difference > 0 else "first"

    @property
    def tests_disagree(self) -> bool:
        """Whether just one of the tests sees a difference at 5%; `doubt` says which one errs."""
        return (self.mcnemar.p_value < ALPHA) != self.bootstrap.excludes_zero

    @property
    def doubt(self) -> Doubt | None:
        """Why a difference that a test sees is not taken as shown; None where there is no such doubt.

        "clustered": McNemar's alone sees it, for it takes queries of one place as independent: trust the
        interval. "few_places": fewer than 6 places changed, from which an interval is too narrow: trust
        neither, or McNemar's where it sees none. "border": the interval alone sees it, by a little.
        """
        if self.mcnemar.p_value < ALPHA and not self.bootstrap.excludes_zero:
            return "clustered"
        if not self.bootstrap.excludes_zero:
            return None
        if not self.bootstrap.is_reliable:
            return "few_places"
        return "border" if self.mcnemar.p_value >= ALPHA else None

    def __str__(self) -> str:
        """One line, in percent."""
        boot, test = self.bootstrap, self.mcnemar
        shown = (
            f"{100 * self.detectable:.1f} points could be told apart"
            if math.isfinite(self.detectable)
            else "no difference could be told apart"
        )
        line = (
            f"R@{self.first.n} {self.first} -> {self.second}: {100 * boot.difference:+.1f} points "
            f"[{100 * boot.low:+.1f}, {100 * boot.high:+.1f}] over {boot.num_places} places; "
            f"McNemar p = {test.p_value:.3g} ({test.only_first} only first, {test.only_second} only second); "
            f"{shown}"
        )
        return line + (f"; {IN_WORDS[self.doubt]}" if self.doubt else "")


def require_same_stamp(first: RetrievalResult, second: RetrievalResult) -> None:
    """Refuse results that answer different questions.

    Raises:
        DataError: the stamps differ, or the numbers of queries.
    """
    if first.stamp != second.stamp or first.num_queries != second.num_queries:
        raise DataError(
            "only results on the same queries, threshold, resize and query method can be compared, but one "
            f"has {first.stamp} ({first.num_queries} queries of {first.set_name or 'val'}) and the other "
            f"{second.stamp} ({second.num_queries} queries of {second.set_name or 'val'}); score both alike"
        )


def asked_alike(result: RetrievalResult, other: RetrievalResult) -> RetrievalResult:
    """`result` under the stamp of `other`, where all that the two stamps tell apart is what is compared."""
    return replace(result, stamp=other.stamp)


def compare_results(
    first: RetrievalResult,
    second: RetrievalResult,
    n: int = 1,
    *,
    place_m: float = PLACE_M,
    num_samples: int = 10_000,
    seed: int = 0,
) -> PairedComparison:
    """Compare recall at `n`: McNemar's exact test and a paired bootstrap by places of `place_m` metres.

    Raises:
        DataError: stamps differ, or a result holds no query positions.
        ValueError: `n` beyond what was judged.
    """
    require_same_stamp(first, second)
    if first.query_utm_m is None:
        raise DataError(
            f"the results on {first.set_name or 'val'} hold no query positions, so their places are unknown; "
            "score again"
        )
    hits_first, hits_second = first.hits_at(n), second.hits_at(n)
    test = mcnemar_exact(hits_first, hits_second)
    return PairedComparison(
        first=first.at(n),
        second=second.at(n),
        mcnemar=test,
        bootstrap=paired_bootstrap(
            hits_first,
            hits_second,
            grid_places(first.query_utm_m, place_m),
            num_samples=num_samples,
            seed=seed,
        ),
        detectable=smallest_detectable_difference(
            first.num_queries, (test.only_first + test.only_second) / first.num_queries
        ),
    )


def compare_splits(
    first: Mapping[str, RetrievalResult], second: Mapping[str, RetrievalResult], ns: Sequence[int]
) -> dict[str, list[PairedComparison]]:
    """Compare at each of `ns` on every split that both have; errors as of `compare_results`."""
    return {
        split: [compare_results(first[split], second[split], n) for n in ns]
        for split in first
        if split in second
    }
