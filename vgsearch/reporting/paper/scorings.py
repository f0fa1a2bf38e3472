"""Which of a run's recorded results are scored as a row asks for, and in what they still differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vgsearch.reporting.paper.asked import Asked
from vgsearch.reporting.paper.our_runs import OurRun
from vgsearch.reporting.paper.our_tests import OurTest
from vgsearch.reporting.paper.printed import DATA_SETS, query_counts
from vgsearch.reporting.paper.unusual import unusual_fda, unusual_reranker, unusual_stamp, unusual_translation
from vgsearch.rerank.reranking import Reranking
from vgsearch.translation.translated_name import TranslatedName


def find_tests(run: OurRun, splits: Sequence[str], asked: Asked) -> dict[str, OurTest]:
    """A run's results as a row asks for them, by split, scored as the paper does where there is such a one.

    Results of several networks that re-rank or translate are never mixed: those of the one that has the
    most splits are taken.
    """
    by_network: dict[str, dict[str, OurTest]] = {}
    for test in sorted(run.tests, key=lambda test: len(scoring_differences(test))):
        if test.split in splits and is_scored_as_asked(test, asked):
            by_network.setdefault(test.other_networks, {}).setdefault(test.split, test)

    def rank(found: Mapping[str, OurTest]) -> tuple[int, int]:
        return len(found), -sum(len(scoring_differences(test)) for test in found.values())

    return max(by_network.values(), key=rank, default={})


def is_scored_as_asked(test: OurTest, asked: Asked) -> bool:
    """Whether queries, styles, order and photos of a result are those of a row."""
    return (
        test.asked is not None
        and test.asked.query_method == asked.query_method
        and (test.fda.setting if test.fda else "") == asked.fda
        and _is_ordered_as_asked(test.reranking, asked)
        and _is_translated_as_asked(test.translated, asked)
    )


def scoring_differences(test: OurTest) -> list[str]:
    """In what a test was scored otherwise than the paper's, in words."""
    wanted = query_counts().get(test.split)
    found = []
    if wanted is not None and test.result.num_queries != wanted:
        found.append(f"{test.result.num_queries} queries of {DATA_SETS[test.split]}, not {wanted}")
    if test.asked is None:
        return [*found, "scored in an unknown way"]
    unusual = unusual_stamp(test.asked)
    unusual += [] if test.fda is None else unusual_fda(test.fda)
    if test.reranking is not None and test.reranking.network is not None:
        unusual += unusual_reranker(test.reranking.network)
    unusual += [] if test.translated is None else unusual_translation(test.translated)
    return found + [each.long for each in unusual]


def other_networks(test: OurTest) -> list[str]:
    """What re-ranked or translated for a result, in words."""
    found = []
    if test.reranking is not None:
        how = test.reranking
        name = how.network.name if how.network else "a network without a name"
        found.append(f"re-ranked by {name} ({how.identity}, {how.precision})")
    if test.translated is not None:
        found.append(f"translated by {test.translated.identity}")
    return found


def _is_ordered_as_asked(reranking: Reranking | None, asked: Asked) -> bool:
    if reranking is None or asked.reranker is None:
        return reranking is None and asked.reranker is None
    sort = reranking.network.sort if reranking.network else None
    return (sort, reranking.n) == (asked.reranker, asked.top)


def _is_translated_as_asked(translated: TranslatedName | None, asked: Asked) -> bool:
    if translated is None or asked.translation is None:
        return translated is None and asked.translation is None
    wanted = asked.translation
    return translated.kind != "brighten" and (translated.part, translated.source, translated.target) == (
        wanted.part,
        wanted.source,
        wanted.target,
    )
