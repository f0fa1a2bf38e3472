"""Greedy soups: models join one by one as long as the mean does not get worse."""

from __future__ import annotations

from collections.abc import Sequence

from vgsearch.ensembling.soup_choice import Choice, Step, require_whole
from vgsearch.ensembling.val_pass import TriedSoup, TrySoup


def greedy_soup(singles: Sequence[TriedSoup], try_soup: TrySoup) -> Choice:
    """Recipe 1 of Wortsman et al. (ICML 2022): add an ingredient if the mean with it is at least as good.

    Their published code asks for more (`>`), the paper for at least as much (`>=`); so does this. The two
    part only where a mean is exactly as good as the soup before it.

    Args:
        singles: Each model alone, best first.
        try_soup: Called once for each model after the first.

    Raises:
        ValueError: No model, or one without results.
    """
    require_whole(singles)
    members, best = [(0, 1.0)], singles[0]
    steps = [Step(0, 1.0, best, None, is_taken=True)]
    for ingredient in range(1, len(singles)):
        recipe = [*members, (ingredient, 1.0)]
        tried = try_soup(recipe, best.value)
        is_taken = tried.reaches(best.value)
        steps.append(Step(ingredient, 1.0 / len(recipe), tried, best, is_taken))
        if is_taken:
            members, best = recipe, tried
    return Choice(tuple(members), best, tuple(steps))


def weighted_soup(singles: Sequence[TriedSoup], try_soup: TrySoup, shares: Sequence[float]) -> Choice:
    """Greedy with a choice of how much: each model is mixed into the soup at several shares.

    The share with the highest criterion counts, the first of equals; the model is taken if that is at least
    as good as the soup before. It costs a pass for every share of every model after the first.

    Args:
        singles: As in `greedy_soup`.
        try_soup: As in `greedy_soup`.
        shares: Parts of the new model in the mixture, each in (0, 1).

    Raises:
        ValueError: As `greedy_soup`; or a share outside (0, 1), or none.
    """
    require_whole(singles)
    if not shares or not all(0 < share < 1 for share in shares):
        raise ValueError(f"shares between 0 and 1 are needed, got {list(shares)}")
    members, best = [(0, 1.0)], singles[0]
    steps = [Step(0, 1.0, best, None, is_taken=True)]
    for ingredient in range(1, len(singles)):
        total = sum(part for _, part in members)
        attempts = []
        winner = None
        for share in shares:
            # Parts are not divided by their sum yet: those of the soup before stay as they are.
            recipe = [*members, (ingredient, total * share / (1 - share))]
            floor = best.value if winner is None else max(best.value, winner[1].value)
            tried = try_soup(recipe, floor)
            attempts.append((share, tried))
            if tried.reaches(best.value) and (winner is None or tried.value > winner[1].value):
                winner = recipe, tried
        for share, tried in attempts:
            is_winner = winner is not None and tried is winner[1]
            steps.append(Step(ingredient, share, tried, best, is_taken=is_winner))
        if winner is not None:
            members, best = winner
    return Choice(tuple(members), best, tuple(steps))
