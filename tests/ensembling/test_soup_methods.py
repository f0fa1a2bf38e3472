"""The methods over a table of scores, against the papers' recipes written down plainly."""

from __future__ import annotations

import hashlib
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vgsearch.ensembling.soup_greedy import greedy_soup, weighted_soup
from vgsearch.ensembling.soup_line import best_on_line
from vgsearch.ensembling.soup_uniform import uniform_soup
from vgsearch.ensembling.val_pass import TriedSoup
from vgsearch.retrieval.recall import RetrievalResult


def whole(value):
    """A result that came to its end; what is in it does not matter to a method."""
    return TriedSoup(value, {"": RetrievalResult("val", np.zeros(1, np.int32), 0, "stamp")})


def score_of(recipe, seed, levels):
    """A number for every mixture, drawn from few levels, so that there are ties."""
    total = sum(part for _, part in recipe)
    text = ";".join(f"{i}:{part / total:.9f}" for i, part in sorted(recipe))
    digest = hashlib.sha256(f"{seed}|{text}".encode()).digest()
    return float(int.from_bytes(digest[:4], "big") % levels)


def recipe_1(singles, score, accepts):
    """Recipe 1 of Wortsman et al. 2022; `accepts` is >= in the paper and > in their published code."""
    ingredients = [0]
    for i in range(1, len(singles)):
        current = singles[0] if len(ingredients) == 1 else score(ingredients)
        if accepts(score([*ingredients, i]), current):
            ingredients.append(i)
    return ingredients


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 9), st.integers(0, 10**6), st.sampled_from([2, 5, 10**6]))
def test_greedy_is_recipe_1(count, seed, levels):
    singles = sorted((score_of([(i, 1.0)], seed, levels) for i in range(count)), reverse=True)

    def score(members):
        return score_of([(i, 1.0) for i in members], seed, levels)

    floors = []

    def try_soup(recipe, floor):
        floors.append(floor)
        return whole(score([i for i, _ in recipe]))

    choice = greedy_soup([whole(value) for value in singles], try_soup)
    members = [i for i, _ in choice.recipe]
    assert members == recipe_1(singles, score, lambda new, old: new >= old)
    assert len(floors) == count - 1  # one pass each, the best single needs none
    assert choice.tried.value == (singles[0] if members == [0] else score(members))
    assert [step.is_taken for step in choice.steps] == [step.ingredient in members for step in choice.steps]
    # Their code asks for more; where no mean is exactly as good as what it is compared with, the two agree.
    strict = recipe_1(singles, score, lambda new, old: new > old)
    ties = any(step.before is not None and step.tried.value == step.before.value for step in choice.steps)
    assert members == strict or ties


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 9), st.integers(0, 10**6))
def test_giving_up_what_cannot_reach_the_floor_changes_nothing(count, seed):
    singles = [whole(v) for v in sorted((score_of([(i, 1.0)], seed, 50) for i in range(count)), reverse=True)]

    def try_soup(recipe, floor):
        return whole(score_of(recipe, seed, 50))

    def hasty(recipe, floor):
        value = score_of(recipe, seed, 50)
        return (
            TriedSoup(value + 0.5, None, part=0.4)
            if floor is not None and value + 0.5 < floor
            else whole(value)
        )

    for method in (greedy_soup, lambda s, t: weighted_soup(s, t, [0.2, 0.5, 0.7])):
        patient, quick = method(singles, try_soup), method(singles, hasty)
        assert patient.recipe == quick.recipe
        assert patient.tried.value == quick.tried.value


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 6), st.integers(0, 10**6))
def test_weighted_takes_the_best_share_of_each(count, seed):
    shares = [0.1, 0.3, 0.5]
    singles = sorted((score_of([(i, 1.0)], seed, 20) for i in range(count)), reverse=True)

    def value_of(fractions):
        return score_of(list(fractions.items()), seed, 20)

    # The same in fractions of the whole, mixed explicitly.
    fractions, best = {0: 1.0}, singles[0]
    for i in range(1, count):
        mixtures = [{**{j: f * (1 - share) for j, f in fractions.items()}, i: share} for share in shares]
        values = [value_of(mixture) for mixture in mixtures]
        if max(values) >= best:
            best = max(values)
            fractions = mixtures[values.index(best)]

    choice = weighted_soup(
        [whole(v) for v in singles], lambda recipe, floor: whole(score_of(recipe, seed, 20)), shares
    )
    assert dict(choice.shares) == pytest.approx(fractions)
    assert choice.tried.value == best
    assert sum(share for _, share in choice.shares) == pytest.approx(1)


@pytest.mark.parametrize("seed", range(20))
def test_the_line_gives_its_best_point_and_the_better_end_where_none_gains(seed):
    alphas = [0.0, 0.25, 0.5, 0.75, 1.0]
    ends = whole(float(seed % 7)), whole(float(seed % 5))
    calls = []

    def try_soup(recipe, floor):
        calls.append(recipe)
        return whole(score_of(recipe, seed, 9))

    choice = best_on_line(ends, try_soup, alphas)
    assert len(calls) == 3  # the ends are known
    inner = [score_of([(0, 1 - a), (1, a)], seed, 9) for a in alphas[1:-1]]
    best = max(ends[0].value, ends[1].value, *inner)
    assert choice.tried.value == best
    if best in (ends[0].value, ends[1].value):
        assert choice.recipe == ((0, 1.0),) if ends[0].value == best else ((1, 1.0),)
    assert sum(step.is_taken for step in choice.steps) == 1


def test_uniform_takes_all_whatever_val_says():
    calls = []

    def try_soup(recipe, floor):
        calls.append((list(recipe), floor))
        return whole(1.0)

    choice = uniform_soup([whole(90.0), whole(80.0), whole(70.0)], try_soup)
    assert calls == [([(0, 1.0), (1, 1.0), (2, 1.0)], None)]
    assert [share for _, share in choice.shares] == pytest.approx([1 / 3] * 3)
    assert all(step.is_taken for step in choice.steps)
    assert uniform_soup([whole(90.0)], try_soup).tried.value == 90.0
    assert len(calls) == 1


def test_bad_arguments():
    with pytest.raises(ValueError, match="at least one model"):
        greedy_soup([], lambda recipe, floor: whole(1.0))
    with pytest.raises(ValueError, match="at least one model"):
        greedy_soup([TriedSoup(1.0)], lambda recipe, floor: whole(1.0))
    for shares in ([], [0.0], [1.0]):
        with pytest.raises(ValueError, match="shares"):
            weighted_soup([whole(1.0)], lambda recipe, floor: whole(1.0), shares)
    with pytest.raises(ValueError, match="two models"):
        best_on_line([whole(1.0)], lambda recipe, floor: whole(1.0), [0.5])
    for pair in itertools.permutations([-0.1, 1.1], 1):
        with pytest.raises(ValueError, match="alphas"):
            best_on_line([whole(1.0), whole(1.0)], lambda recipe, floor: whole(1.0), pair)
