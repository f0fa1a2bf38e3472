"""The nearest valid word to a misspelt one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, valid: Iterable[str]) -> str | None:
    """The valid word most like `word`, or None where none is near; case and dashes count for nothing."""
    by_key = {_folded(candidate): candidate for candidate in valid}
    found = get_close_matches(_folded(word), by_key, n=1, cutoff=0.6)
    return by_key[found[0]] if found else None


def nearest_hint(word: str, valid: Iterable[str]) -> str:
    """`; nearest: WORD`, or nothing."""
    found = nearest(word, valid)
    return "" if found is None else f"; nearest: {found}"


def _folded(word: str) -> str:
    return word.lower().replace("-", "_")
