"""From a recipe to weights: each way of mixing reads the ingredients' files tensor by tensor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from torch import nn

from vgsearch.ensembling.averaging import RunningAverage, Stream, Weights, line
from vgsearch.ensembling.model_stock import stock
from vgsearch.ensembling.val_pass import Recipe


class Mixing(Protocol):
    """A way of mixing."""

    def __call__(self, recipe: Recipe) -> Stream:
        """The weights of a recipe."""

    def parts(self, recipe: Recipe) -> Sequence[Weights]:
        """All models that have a say in a recipe's weights."""


class MeanMixing:
    """The weighted mean; recipes that begin alike share the sum of their beginning."""

    def __init__(self, files: Sequence[Path]) -> None:
        """Take the ingredients by their position in the pot."""
        self._files = files
        self._begun: list[tuple[int, float]] = []
        self._sum = RunningAverage()

    def __call__(self, recipe: Recipe) -> Stream:
        """The weights of a recipe."""
        *beginning, (last, part) = recipe
        if self._begun != beginning[: len(self._begun)]:
            self._begun, self._sum = [], RunningAverage()
        for ingredient, amount in beginning[len(self._begun) :]:
            self._sum.add(self._files[ingredient], amount)
            self._begun.append((ingredient, amount))
        if beginning:
            return self._sum.stream(self._files[last], part)
        alone = RunningAverage()
        alone.add(self._files[last])
        return alone.stream()

    def parts(self, recipe: Recipe) -> Sequence[Weights]:
        """All models that have a say."""
        return [self._files[ingredient] for ingredient, _ in recipe]


class LineMixing(MeanMixing):
    """A point of the line between two models, exact at its ends."""

    def __call__(self, recipe: Recipe) -> Stream:
        """The weights of a recipe of one model or two."""
        if len(recipe) == 1:
            return super().__call__(recipe)
        (first, first_part), (second, second_part) = recipe
        return line(self._files[first], self._files[second], second_part / (first_part + second_part))


class StockMixing:
    """A model stock: the recipe's models in equal parts, drawn back to the anchor."""

    def __init__(self, files: Sequence[Path], anchor: Weights) -> None:
        """Take the ingredients, and what they started from."""
        self._files = files
        self._anchor = anchor
        self.ratios: dict[str, float] = {}

    def __call__(self, recipe: Recipe) -> Stream:
        """The weights of a recipe of at least two models; `ratios` are known when all are read."""
        return stock(self._anchor, [self._files[ingredient] for ingredient, _ in recipe], self.ratios)

    def parts(self, recipe: Recipe) -> Sequence[Weights]:
        """All models that have a say, the anchor too."""
        return [self._anchor, *(self._files[ingredient] for ingredient, _ in recipe)]

    def anchor_share(self, network: nn.Module) -> float:
        """How much of the anchor is in the last weights, 0 to 1: the mean over the values that moved."""
        sizes = {name: tensor.numel() for name, tensor in network.state_dict().items()}
        total = sum(sizes[name] for name in self.ratios)
        kept = sum(sizes[name] * (1 - ratio) for name, ratio in self.ratios.items())
        return kept / total if total else 0.0
