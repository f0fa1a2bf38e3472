"""What a soup method gives back: the recipe it settled on, and every step on the way there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vgsearch.ensembling.val_pass import Recipe, TriedSoup


@dataclass(frozen=True, eq=False)
class Step:
    """One thing that was tried.

    Attributes:
        ingredient: Position in the pot of what was new.
        share: Its part of what was tried, as a fraction of the whole.
        tried: What became of it.
        before: What it had to reach; None for the first, which is taken as it is.
        is_taken: Whether it is in the soup from here on.
    """

    ingredient: int
    share: float
    tried: TriedSoup
    before: TriedSoup | None
    is_taken: bool


@dataclass(frozen=True, eq=False)
class Choice:
    """A soup and how it came about.

    Attributes:
        recipe: Ingredients with their parts, before these are divided by their sum.
        tried: What is known of it; with results.
        steps: In the order in which they were tried.
    """

    recipe: Recipe
    tried: TriedSoup
    steps: tuple[Step, ...]

    @property
    def shares(self) -> list[tuple[int, float]]:
        """Ingredients with their fractions of the whole, in the recipe's order."""
        total = sum(part for _, part in self.recipe)
        return [(ingredient, part / total) for ingredient, part in self.recipe]


def require_whole(singles: Sequence[TriedSoup]) -> None:
    """Check that every single model was scored to its end.

    Raises:
        ValueError: There is none, or one was not.
    """
    if not singles or any(single.results is None for single in singles):
        raise ValueError("a soup needs at least one model, and the results of each alone")
