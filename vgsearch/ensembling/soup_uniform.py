"""Soups that ask val nothing about who is in them: the plain mean, and what is built like it."""

from __future__ import annotations

from collections.abc import Sequence

from vgsearch.ensembling.soup_choice import Choice, Step, require_whole
from vgsearch.ensembling.val_pass import TriedSoup, TrySoup


def uniform_soup(singles: Sequence[TriedSoup], try_soup: TrySoup) -> Choice:
    """All models in equal parts (Wortsman et al., ICML 2022), whatever val says of the mean.

    Args:
        singles: Each model alone, best first.
        try_soup: Called once, unless there is only one model.

    Raises:
        ValueError: No model, or one without results.
    """
    require_whole(singles)
    recipe = [(ingredient, 1.0) for ingredient in range(len(singles))]
    tried = singles[0] if len(singles) == 1 else try_soup(recipe, None)
    share = 1.0 / len(singles)
    steps = [Step(0, share, singles[0], None, is_taken=True)]
    steps += [Step(i, share, tried, singles[0], is_taken=True) for i in range(1, len(singles))]
    return Choice(tuple(recipe), tried, tuple(steps))
