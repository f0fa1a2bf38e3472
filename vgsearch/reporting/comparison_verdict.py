"""What a paired comparison allows one to say of A and B, in sentences."""

from __future__ import annotations

import math

from vgsearch.retrieval.bootstrap import FEWEST_PLACES
from vgsearch.retrieval.compare import PairedComparison


def verdict(pair: PairedComparison) -> str:
    """Which of the two is better and how sure that is, or that they cannot be told apart and why."""
    n, num_queries = pair.first.n, pair.first.num_queries
    changed = pair.mcnemar.only_first + pair.mcnemar.only_second
    if changed == 0:
        return f"R@{n}: {_unchanged(pair)}"
    if pair.better is not None:
        return f"R@{n}: {_told_apart(pair)}"
    start = f"R@{n}: A and B cannot be told apart on {_counted(num_queries, 'query', 'queries')}"
    return f"{start}: {_evidence(pair)}. {_why(pair)}"


def detectable_in_words(pair: PairedComparison) -> str:
    """`4.2`, in points, or a dash where no difference could show."""
    return f"{100 * pair.detectable:.1f}" if math.isfinite(pair.detectable) else "-"


def chance_in_words(p_value: float) -> str:
    """How often equal models would part so unevenly: `in 1.3% of cases`."""
    if p_value >= 0.9995:
        return "as a rule"
    if p_value >= 0.01:
        return f"in {100 * p_value:.0f}% of cases"
    if p_value >= 0.0001:
        return f"in {100 * p_value:.1g}% of cases"
    return "in fewer than 1 of 10,000 cases"


def _unchanged(pair: PairedComparison) -> str:
    hits, num_queries = pair.first.hits, pair.first.num_queries
    start = "A and B cannot be told apart"
    if hits in (0, num_queries):
        right, easy = ("wrong", "hard") if hits == 0 else ("right", "easy")
        return (
            f"{start}: both are {right} on all {num_queries} queries, so this split is too {easy} to show a "
            "difference."
        )
    return f"{start}: they are right on the same {hits} of {num_queries} queries. {_smallest(pair)}"


def _told_apart(pair: PairedComparison) -> str:
    boot, test = pair.bootstrap, pair.mcnemar
    letter, sign = ("B", 1) if pair.better == "second" else ("A", -1)
    low, high = sorted((100 * sign * boot.low, 100 * sign * boot.high))
    won, lost = (test.only_second, test.only_first)[::sign]
    return (
        f"{letter} is better, by {100 * abs(boot.difference):.1f} points, and with 95% confidence by "
        f"{low:.1f} to {high:.1f}. It alone is right on {_counted(won, 'query', 'queries')}, the other alone "
        f"on {lost}; equal models would part so unevenly {chance_in_words(test.p_value)} "
        f"(p = {test.p_value:.2g})."
    )


def _evidence(pair: PairedComparison) -> str:
    boot, test = pair.bootstrap, pair.mcnemar
    return (
        f"{test.only_second} gained, {test.only_first} lost, which equal models would do "
        f"{chance_in_words(test.p_value)} (p = {test.p_value:.2g}); B - A lies between "
        f"{100 * boot.low:+.1f} and {100 * boot.high:+.1f} points"
    )


def _why(pair: PairedComparison) -> str:
    """Which test to trust where they part; else what would have shown."""
    at = _counted(pair.bootstrap.num_changed_places, "place", "places")
    changed = pair.mcnemar.only_first + pair.mcnemar.only_second
    few = f"an interval from fewer than {FEWEST_PLACES} changed places is too narrow, and these are {at}"
    match pair.doubt:
        case "clustered":
            return (
                "The two tests disagree; trust the interval: McNemar's test takes queries as independent, "
                f"which photos of one place are not, and the {changed} that changed lie at {at}."
            )
        case "few_places" if pair.tests_disagree:
            return f"The two tests disagree; trust McNemar's, which is exact: {few}."
        case "few_places":
            return (
                f"Trust neither test: {few}, while McNemar's takes the {changed} queries that changed there "
                "as independent."
            )
        case "border":
            return (
                "The two tests disagree at the border; trust McNemar's, which is exact, while the interval "
                "leaves out zero by little. More queries could settle it."
            )
        case None:
            return _smallest(pair)


def _smallest(pair: PairedComparison) -> str:
    num_queries = pair.first.num_queries
    if math.isinf(pair.detectable):
        return (
            f"{_counted(num_queries, 'query', 'queries')} can show no difference, however large: it takes at "
            "least 6 that change, all one way."
        )
    return (
        f"A true difference of {100 * pair.detectable:.1f} points would have shown in 4 of 5 cases, a "
        "smaller one less often."
    )


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
