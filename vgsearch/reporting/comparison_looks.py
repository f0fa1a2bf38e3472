"""Several comparisons at once: each is one more chance to be lucky."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vgsearch.reporting.verdicts import listed
from vgsearch.retrieval.compare import ALPHA, PairedComparison


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for being looked at together, dependent or not (Holm, Scand. J. Statist. 1979).

    An adjusted value below 5% keeps the chance of any false difference among all of them below 5%.

    Args:
        p_values: 0-1 each.

    Returns:
        In the order given: never below the value itself, at most 1.
    """
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    steps = values[order] * np.arange(len(values), 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return [float(value) for value in adjusted]


def looks_remark(pairs: Sequence[tuple[str, PairedComparison]]) -> str | None:
    """Say what several looks leave of the differences that were found; None where there is nothing to say.

    Args:
        pairs: Every comparison of the report under its name, such as `day R@1`.
    """
    found = [(name, pair, p) for (name, pair), p in zip(pairs, _adjusted(pairs), strict=True) if pair.better]
    if len(pairs) < 2 or not found:
        return None
    chance = 100 * (1 - (1 - ALPHA) ** len(pairs))
    start = (
        f"{len(pairs)} comparisons were made at once; of equal models up to {chance:.0f}% of such tables "
        "show a difference somewhere."
    )
    gone = [
        f"{name} (p = {pair.mcnemar.p_value:.2g} becomes {p:.2g})" for name, pair, p in found if p >= ALPHA
    ]
    kept = [name for name, _, p in found if p < ALPHA]
    if not gone:
        return f"{start} Corrected for that (Holm), {listed(kept)} still {_stand(kept)}."
    rest = f"; {listed(kept)} still {_stand(kept)}" if kept else ""
    return f"{start} Corrected for that (Holm), {listed(gone)} could be luck{rest}."


def _adjusted(pairs: Sequence[tuple[str, PairedComparison]]) -> list[float]:
    return holm([pair.mcnemar.p_value for _, pair in pairs])


def _stand(names: Sequence[str]) -> str:
    return "stands" if len(names) == 1 else "stand"
