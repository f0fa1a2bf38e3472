"""Two results on the same queries: which is better, by how much, and is it more than luck?"""

from __future__ import annotations

from dataclasses import dataclass

from vgsearch.errors import DataError
from vgsearch.retrieval.bootstrap import PLACE_M, BootstrapDifference, grid_places, paired_bootstrap
from vgsearch.retrieval.mcnemar import McNemar, mcnemar_exact, smallest_detectable_difference
from vgsearch.retrieval.recall import Recall, RetrievalResult

__all__ = ["PairedComparison", "compare_results", "mcnemar_exact", "paired_bootstrap", "require_same_stamp"]

_ALPHA = 0.05


@dataclass(frozen=True)
class PairedComparison:
    """Recall at one N of two results with the same stamp; differences are second minus first, -1 to 1."""

    first: Recall
    second: Recall
    mcnemar: McNemar
    bootstrap: BootstrapDifference
    detectable: float

    @property
    def tests_disagree(self) -> bool:
        """Whether the tests part at 5%; then trust the bootstrap: it does not take queries as independent."""
        return (self.mcnemar.p_value < _ALPHA) != self.bootstrap.excludes_zero

    def __str__(self) -> str:
        """One line, in percent."""
        boot, test = self.bootstrap, self.mcnemar
        line = (
            f"R@{self.first.n} {self.first} -> {self.second}: {100 * boot.difference:+.1f} points "
            f"[{100 * boot.low:+.1f}, {100 * boot.high:+.1f}] over {boot.num_places} places; "
            f"McNemar p = {test.p_value:.3g} ({test.only_first} only first, {test.only_second} only second); "
            f"{100 * self.detectable:.1f} points could be told apart"
        )
        if self.tests_disagree:
            line += "; the two tests disagree: queries of one place are not independent, trust the interval"
        return line


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
