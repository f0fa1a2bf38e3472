"""The report of a comparison: its numbers against scipy and plain loops, its words in every case."""

from __future__ import annotations

import csv
import io
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from scipy.stats import binomtest

from vgsearch.registry.scored_tests import Looks
from vgsearch.reporting.comparison import LEGEND, SplitComparison, listed_changes, render_comparison
from vgsearch.reporting.comparison_changes import change_lines, changes_csv, find_changes
from vgsearch.reporting.comparison_looks import holm, looks_remark
from vgsearch.reporting.comparison_verdict import chance_in_words, verdict
from vgsearch.reporting.looks import looks_in_words, looks_line
from vgsearch.retrieval.compare import PairedComparison, compare_results
from vgsearch.retrieval.recall import RetrievalResult


def result(ranks: list[int] | np.ndarray, spacing_m: float = 100.0) -> RetrievalResult:
    utm_m = spacing_m * np.arange(len(ranks))[:, None] * np.ones(2)
    return RetrievalResult("val", np.asarray(ranks, np.int32), 0, "s", query_utm_m=utm_m)


def pair(lost: int, gained: int, same: int, spacing_m: float = 100.0, n: int = 1) -> PairedComparison:
    """So many queries that A alone, that B alone, and that both get right."""
    first = [0] * lost + [-1] * gained + [0] * same
    second = [-1] * lost + [0] * gained + [0] * same
    return compare_results(result(first, spacing_m), result(second, spacing_m), n)


def test_a_clear_difference_names_the_better_one_either_way() -> None:
    chance = chance_in_words(binomtest(5, 45).pvalue)
    for lost, gained, letter in ((5, 40, "B"), (40, 5, "A")):
        text = verdict(pair(lost, gained, 155))
        assert text.startswith(f"R@1: {letter} is better, by 17.5 points, and with 95% confidence by ")
        low, high = map(float, re.search(r"by ([\d.]+) to ([\d.]+)\.", text).groups())  # type: ignore[union-attr]
        assert 5 < low < 17.5 < high < 30
        assert "It alone is right on 40 queries, the other alone on 5" in text
        assert f"equal models would part so unevenly {chance} (p = " in text


def test_what_cannot_be_told_apart() -> None:
    level = pair(20, 22, 158)
    text = verdict(level)
    assert text.startswith("R@1: A and B cannot be told apart on 200 queries: 22 gained, 20 lost")
    assert f"in {100 * binomtest(20, 42).pvalue:.0f}% of cases" in text
    assert f"A true difference of {100 * level.detectable:.1f} points would have shown" in text
    assert "disagree" not in text


@pytest.mark.parametrize(
    ("ranks", "words"),
    [
        ([0] * 9, "both are right on all 9 queries, so this split is too easy"),
        ([-1] * 9, "both are wrong on all 9 queries, so this split is too hard"),
        ([0, 0, -1, 0, 0, 0, 0, 0, 0], "they are right on the same 8 of 9 queries. A true difference of"),
        ([0, -1], "right on the same 1 of 2 queries. 2 queries can show no difference, however large"),
        ([0], "both are right on all 1 queries"),
    ],
)
def test_the_same_outcome_on_every_query(ranks: list[int], words: str) -> None:
    text = verdict(compare_results(result(ranks), result(ranks)))
    assert text.startswith("R@1: A and B cannot be told apart: ")
    assert words in text
    assert "nan" not in text
    assert "inf" not in text


def test_few_queries_show_nothing() -> None:
    text = verdict(pair(0, 2, 1, spacing_m=0.0))
    assert "cannot be told apart on 3 queries: 2 gained, 0 lost" in text
    text = verdict(pair(2, 2, 1))
    assert "5 queries can show no difference, however large: it takes at least 6" in text


def test_where_the_tests_disagree_it_says_whom_to_trust_and_why() -> None:
    # Eight queries won at few places.
    clustered = compare_results(result([-1] * 80, 3.0), result([0] * 8 + [-1] * 72, 3.0))
    text = verdict(clustered)
    assert "cannot be told apart" in text
    assert "The two tests disagree; trust the interval: McNemar's test takes queries as independent" in text
    assert "the 8 that changed lie at 1 place." in text
    # Five queries won, each at a place of its own.
    text = verdict(pair(0, 5, 75))
    assert "The two tests disagree; trust McNemar's, which is exact" in text
    assert "fewer than 6 changed places is too narrow, and these are 5 places" in text
    # Forty queries at one place.
    text = verdict(pair(0, 40, 0, spacing_m=0.1))
    assert "Trust neither test" in text
    assert "cannot be told apart" in text
    # Many changes, at the border of 5%.
    border = pair(41, 60, 899)
    assert border.mcnemar.p_value > 0.05
    if border.bootstrap.excludes_zero:
        assert "disagree at the border; trust McNemar's" in verdict(border)


def test_the_border() -> None:
    found = [
        each for lost in range(10, 40) for each in [pair(lost, lost + 17, 300)] if each.doubt == "border"
    ]
    assert found
    for each in found:
        assert each.better is None
        assert binomtest(each.mcnemar.only_first, each.mcnemar.only_first * 2 + 17).pvalue >= 0.05
        assert "disagree at the border; trust McNemar's, which is exact" in verdict(each)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30), st.sampled_from([0.1, 4.0, 100.0]))
@settings(max_examples=60, deadline=None)
def test_the_words_hold_in_every_case(lost: int, gained: int, same: int, spacing_m: float) -> None:
    if lost + gained + same == 0:
        return
    each = pair(lost, gained, same, spacing_m)
    text = verdict(each)
    claims = "is better" in text
    assert claims == (each.better is not None)
    assert claims != ("cannot be told apart" in text)
    if claims:
        assert binomtest(lost, lost + gained).pvalue < 0.05
        assert ("B is better" in text) == (gained > lost)
    assert "nan" not in text
    assert " inf" not in text


@pytest.mark.parametrize(
    ("p_value", "words"),
    [
        (1.0, "as a rule"),
        (0.31, "in 31% of cases"),
        (0.034, "in 3% of cases"),
        (0.0042, "in 0.4% of cases"),
        (0.00012, "in 0.01% of cases"),
        (1e-9, "in fewer than 1 of 10,000 cases"),
    ],
)
def test_chances_in_words(p_value: float, words: str) -> None:
    assert chance_in_words(p_value) == words


def test_holm_keeps_the_chance_of_any_false_difference_below_five_percent() -> None:
    # Holm's own procedure, as a loop: the smallest against alpha / m, the next against alpha / (m - 1), ...
    rng = np.random.default_rng(0)
    for _ in range(200):
        p_values = list(rng.random(rng.integers(1, 7)) ** 3)
        rejected = set()
        for step, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
            if p_values[i] > 0.05 / (len(p_values) - step):
                break
            rejected.add(i)
        assert {i for i, p in enumerate(holm(p_values)) if p <= 0.05} == rejected
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


def test_several_looks() -> None:
    clear, weak, level = pair(5, 40, 155), pair(5, 16, 179), pair(20, 22, 158)
    assert weak.better == "second"
    assert looks_remark([("day R@1", clear)]) is None
    assert looks_remark([("day R@1", level), ("night R@1", level)]) is None
    text = looks_remark([("day R@1", clear), ("night R@1", level)])
    assert text is not None
    assert text.startswith("2 comparisons were made at once; of equal models up to 10% of such tables")
    assert text.endswith("Corrected for that (Holm), day R@1 still stands.")
    text = looks_remark([("a", clear), ("b", weak), ("c", level), ("d", level)])
    p_value = binomtest(5, 21).pvalue
    assert text is not None
    assert text.endswith(f"b (p = {p_value:.2g} becomes {3 * p_value:.2g}) could be luck; a still stands.")


def test_changes_against_a_plain_loop() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.integers(-1, 20, 80), rng.integers(-1, 20, 80)
    names = [f"@{i}@.jpg" for i in range(80)]
    for n in (1, 5, 20):
        changes = find_changes("night", result(first), result(second), n, names)
        expected = {}
        for i, (a, b) in enumerate(zip(first, second, strict=True)):
            right_a, right_b = 0 <= a < n, 0 <= b < n
            if right_a != right_b:
                expected[i] = ("gained" if right_b else "lost", a + 1 or None, b + 1 or None, names[i])
        assert {c.query: (c.kind, c.rank_a, c.rank_b, c.image) for c in changes} == expected
        moves = [abs((c.rank_a or 21) - (c.rank_b or 21)) for c in changes]
        assert moves == sorted(moves, reverse=True)
        rows = list(csv.DictReader(io.StringIO(changes_csv(changes).decode())))
        assert len(rows) == len(expected)
        for row in rows:
            kind, rank_a, rank_b, image = expected[int(row["query"])]
            assert (row["split"], row["recall_at"], row["change"]) == ("night", str(n), kind)
            assert row["image"] == image
            assert (row["rank_a"], row["rank_b"]) == (str(rank_a or ""), str(rank_b or ""))
            assert float(row["utm_east_m"]) == 100.0 * int(row["query"])


def test_change_lines_name_the_largest_moves_first_and_count_the_rest() -> None:
    first, second = result([0, 0, 0, 3, -1]), result([1, -1, 7, 0, 0])
    changes = find_changes("val", first, second, 1, ["a,b.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"])
    assert change_lines(changes, 2) == [
        "  gained    >20 -> 1  e.jpg",
        "  gained      4 -> 1  d.jpg",
        "  lost      1 -> >20  b.jpg",
        "  lost        1 -> 8  c.jpg",
        "  lost    and 1 more",
    ]
    assert "query 4" in change_lines(find_changes("val", first, second, 1), 1)[0]
    assert b'"a,b.jpg"' in changes_csv(changes)
    with pytest.raises(ValueError, match="same queries"):
        find_changes("val", first, result([0]), 1)


def printed(split: SplitComparison, width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(render_comparison(split))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_the_terminal(width: int) -> None:
    first, second = result([0] * 60 + [5] * 40), result([0] * 40 + [8] * 20 + [0] * 40)
    pairs = [compare_results(first, second, n) for n in (1, 10)]
    lines = printed(SplitComparison("val", pairs, ["database 10"], []), width)
    assert lines[0] == "val: 100 queries at 100 places, database 10"
    (row,) = (line for line in lines if line.startswith("R@1  "))
    assert row.split()[:2] == ["R@1", "60.0"]
    assert row.split()[-3:-1] == ["40", "20"]
    assert "[50.2, 69.1]" in (row if width == 120 else lines[lines.index(row) + 1])
    assert max(map(len, lines)) <= width
    assert math.isfinite(pairs[0].detectable)


def test_changes_are_listed_for_each_recall_and_names_stay_whole() -> None:
    first, second = result([0] * 60 + [5] * 40), result([0] * 40 + [8] * 20 + [0] * 40)
    pairs = [compare_results(first, second, n) for n in (1, 5, 20)]
    names = [f"{i:0150}.jpg" for i in range(100)]
    changes = [change for n in (1, 5, 20) for change in find_changes("val", first, second, n, names)]
    lines = listed_changes(SplitComparison("val", pairs, [], changes, listed=1))
    # At 20 nothing changed, and is not spoken of.
    assert [line for line in lines if line.startswith("Rank")] == [
        f"Rank of the first right image where R@{n} changed, A -> B:" for n in (1, 5)
    ]
    assert sum(any(name in line for name in names) for line in lines) == 4
    assert listed_changes(SplitComparison("val", pairs, [], changes)) == []


def test_the_legend_explains_every_column() -> None:
    assert all(word in LEGEND for word in ("B - A", "p:", "gained, lost", "shows"))


def test_looks_in_words() -> None:
    assert looks_in_words(Looks(0, 0)) == "never scored so far"
    assert looks_in_words(Looks(1, 1)) == "scored once so far"
    assert looks_in_words(Looks(2, 2)) == "scored 2 times so far"
    assert looks_in_words(Looks(3, 2)) == "scored 3 times so far (2 different, 1 repeat)"
    assert looks_in_words(None) == "counted once the MLflow store answers"
    assert looks_line({}) is None
    assert looks_line({"day": Looks(1, 1), "night": None}) == (
        "Looks at the tests: day scored once so far; night counted once the MLflow store answers. "
        "Each further one makes a test say less about new photos."
    )
