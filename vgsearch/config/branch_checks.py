"""What a search with a trunk cannot search: a number whose start every branch takes from the trunk."""

from __future__ import annotations

from collections.abc import Sequence

from vgsearch.config.problems import Problem
from vgsearch.config.tree import Node, at, find

_POWER = ("trial", "pooling", "p")


def check_branch(decided: Sequence[Node]) -> list[Problem]:
    """Refuse a searched `pooling.p` beside `search.branch`.

    The power is learned, so the value in the file is only where learning starts, and a branch starts from its
    trunk's: the sampler would judge a number that changes nothing.

    Args:
        decided: the file's decided trees, as `variants` gives them; not empty.
    """
    branch = at(decided[0], ("search", "branch"))
    powers = [at(variant, _POWER) for variant in decided]
    values = {None if power is None else power.content for power in powers if not _is_broken(power)}
    if branch is None or branch.content is None or len(values) < 2:
        return []
    text = (
        "cannot be searched beside search.branch: it is learned, and every branch takes it from its trunk; "
        "write one value, or set search.branch to null"
    )
    place = next(find(variant, _POWER).place for variant in decided if at(variant, _POWER) is not None)
    return [Problem(place, _POWER, text)]


def _is_broken(power: Node | None) -> bool:
    """Whether the schema has refused the value already."""
    return power is not None and not isinstance(power.content, (int, float))
