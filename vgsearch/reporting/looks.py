"""How often a test was looked at, in words; it stands beside every test recall."""

from __future__ import annotations

from collections.abc import Mapping

from vgsearch.registry.scored_tests import Looks


def looks_in_words(looks: Looks | None) -> str:
    """Such as `scored once so far`, or `scored 3 times so far (2 different, 1 repeat)`.

    Args:
        looks: None where the count waits for a store that does not answer.
    """
    if looks is None:
        return "counted once the MLflow store answers"
    if looks.scorings == 0:
        return "never scored so far"
    if looks.scorings == 1:
        return "scored once so far"
    number, _, kinds = str(looks).partition(" ")
    return f"scored {number} times so far{' ' if kinds else ''}{kinds}"


def looks_line(looks: Mapping[str, Looks | None]) -> str | None:
    """One sentence over all tests of a report; None without any."""
    if not looks:
        return None
    each = "; ".join(f"{split} {looks_in_words(count)}" for split, count in looks.items())
    return f"Looks at the tests: {each}. Each further one makes a test say less about new photos."
