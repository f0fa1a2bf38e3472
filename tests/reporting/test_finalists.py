from __future__ import annotations

from collections.abc import Callable

import pytest

from vgsearch.reporting.finalists import FinalistRow, lead_over_seeds, render_finalists

WORDS = "arcface 0.40 rad, scale 42.1, alpha -, tf_efficientnet_lite0"
FIRST = FinalistRow(2, WORDS, 46.5, (46.0, 45.0, 47.5))
SECOND = FinalistRow(5, WORDS, 48.0, (44.0, 46.5, 44.5))
FAR = FinalistRow(4, WORDS, 30.0, (28.0, 29.5, 30.5))


@pytest.mark.parametrize("width", [80, 120, 200])
def test_each_seed_is_there_beside_mean_and_spread(printed: Callable[..., list[str]], width: int) -> None:
    lines = printed(render_finalists([FIRST, SECOND, FAR], champion=17), width)
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    (line,) = [line for line in lines if line.split()[0] == "2"]
    # numpy.std([46, 45, 47.5], ddof=1) = 1.258
    assert line.split()[-6:] == ["46.5", "46.2", "1.3", "46.0", "45.0", "47.5"]
    text = " ".join(" ".join(lines).split())
    assert "The numbers of the search were 1.3 points higher on average" in text
    assert "Chosen by the mean: trial 2. The champion is its best run, trial 17." in text


def test_a_lead_that_seeds_explain_and_one_that_they_do_not() -> None:
    verdict = lead_over_seeds([FIRST, SECOND, FAR])
    assert verdict is not None
    assert verdict.startswith("Trial 2 cannot be told apart from trial 5 (+1.2 points, p = 0.")
    assert "but stands apart from trial 4 (+16.8 points, p = 0.0" in verdict
    assert verdict.endswith("(Welch's t-test, corrected for 2 comparisons).")
    assert lead_over_seeds([FIRST, FAR]) == (
        "Trial 2 stands apart from trial 4 (+16.8 points, p = 8.1e-05): more than seeds explain "
        "(Welch's t-test)."
    )


def test_too_few_seeds_are_no_test() -> None:
    verdict = lead_over_seeds([FinalistRow(2, WORDS, 46.5, (46.0,)), SECOND])
    assert verdict is not None
    assert "cannot be tested" in verdict
    assert lead_over_seeds([FIRST]) is None


def test_one_seed_has_no_spread_and_little_luck_goes_unsaid(printed: Callable[..., list[str]]) -> None:
    only = FinalistRow(3, WORDS, 46.0, (46.5,))
    lines = printed(render_finalists([only], champion=3), 120)
    assert lines[2].split()[-3:] == ["46.5", "-", "46.5"]
    assert lines[3:] == ["Chosen by the mean: trial 3. The champion is its run in the search."]
