"""The best point of the line between two models (WiSE-FT, Wortsman et al., CVPR 2022)."""

from __future__ import annotations

from collections.abc import Sequence

from vgsearch.ensembling.soup_choice import Choice, Step, require_whole
from vgsearch.ensembling.val_pass import TriedSoup, TrySoup


def best_on_line(singles: Sequence[TriedSoup], try_soup: TrySoup, alphas: Sequence[float]) -> Choice:
    """Try the points `(1 - alpha) first + alpha second`; both ends are known without a pass.

    The highest criterion counts. Of equals the first in the order: first model, second model, then the alphas
    as they are given; so a line that gains nothing gives the better end.

    Args:
        singles: Two models, each alone.
        try_soup: Called once for each alpha inside (0, 1), with the parts `1 - alpha` and `alpha`.
        alphas: Places on the line, each in [0, 1].

    Raises:
        ValueError: Not two models, or an alpha outside [0, 1].
    """
    require_whole(singles)
    if len(singles) != 2 or not all(0 <= alpha <= 1 for alpha in alphas):
        raise ValueError(f"two models and alphas in [0, 1] are needed, got {len(singles)} and {list(alphas)}")
    first, second = singles
    recipe, best = [(0, 1.0)], first
    if second.value > first.value:
        recipe, best = [(1, 1.0)], second
    ends = [(0, 0.0, first), (1, 1.0, second)]
    attempts = []
    for alpha in alphas:
        if alpha in (0.0, 1.0):
            continue
        points = [(0, 1.0 - alpha), (1, alpha)]
        tried = try_soup(points, best.value)
        attempts.append((1, alpha, tried))
        if tried.results is not None and tried.value > best.value:
            recipe, best = points, tried
    steps = [
        Step(ingredient, alpha, tried, None if tried is first else first, is_taken=tried is best)
        for ingredient, alpha, tried in [*ends, *attempts]
    ]
    return Choice(tuple(recipe), best, tuple(steps))
