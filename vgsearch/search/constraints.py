"""What a trial may cost: known before it trains, or measured with its first epoch."""

from __future__ import annotations

from dataclasses import dataclass

from vgsearch.config.search import ConstraintsConfig
from vgsearch.config.trial import TrialConfig
from vgsearch.errors import SearchError
from vgsearch.search.facts import EpochFacts

FLOAT32_BYTES = 4


@dataclass(frozen=True)
class Violation:
    """A constraint that is broken, by how much, and in words."""

    name: str
    excess: float
    reason: str


def known_violation(constraints: ConstraintsConfig, trial: TrialConfig) -> str:
    """Say which constraint a decided trial breaks that needs no training to be known; empty if none."""
    limit, size = constraints.descriptor_bytes, FLOAT32_BYTES * trial.descriptor_dim
    if limit is not None and size > limit:
        return f"a descriptor of {size} bytes is above search.constraints.descriptor_bytes {limit}"
    return ""


def measured_violation(constraints: ConstraintsConfig, facts: EpochFacts) -> Violation | None:
    """Judge what a trial's first epoch measured.

    The first alone: a later one, after a resume on another machine, would make the verdict depend on it.
    """
    limit, measured = constraints.query_ms, facts.query_ms
    if limit is None or measured is None or measured <= limit:
        return None
    reason = f"query_ms {measured:.1f} is above the constraint {limit:g}"
    return Violation("query_ms", measured - limit, reason)


def check_repeatable(constraints: ConstraintsConfig, *, budget_in_time: bool) -> None:
    """Refuse what depends on the clock in a search that must repeat itself.

    Raises:
        SearchError: a constraint or a budget is a matter of time.
    """
    timed = [
        *(["search.constraints.query_ms"] if constraints.query_ms is not None else []),
        *(["search.budget"] if budget_in_time else []),
    ]
    if timed:
        raise SearchError(
            f"--deterministic makes a search repeat itself, and {' and '.join(timed)} depends on how fast "
            f"the machine happens to be: remove it, or search without --deterministic"
        )
