"""What a descriptor ensemble is made of: members, fusion, how they are selected, and on what."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from vgsearch.config.combination import CombinationDocument, CombinationEvalConfig, load_combination
from vgsearch.config.problems import Problem
from vgsearch.config.strict import Strict
from vgsearch.config.tree import Node, find

MAX_MEMBERS = 64
_Name = Annotated[str, Field(min_length=1, max_length=300)]


class AllConfig(Strict):
    """Every model of the pot."""

    name: Literal["all"] = "all"


class TopKConfig(Strict):
    """The k models of the pot with the highest criterion."""

    name: Literal["top_k"]
    k: int = Field(3, ge=1, le=MAX_MEMBERS)


class GreedyConfig(Strict):
    """Greedy selection with replacement (Caruana et al., ICML 2004), started with the best model."""

    name: Literal["greedy"]
    size: int = Field(10, ge=1, le=MAX_MEMBERS, description="rounds; a model may be taken in several")
    seed: int = Field(0, ge=0, lt=2**31, description="decides between equals, and draws the bags")
    bags: int = Field(1, ge=1, le=100, description="selections, each on a part of the pot, added up")
    bag_fraction: float = Field(0.5, gt=0, le=1, description="part of the pot in each of several bags")
    drop_early: bool = Field(
        True, description="mean: give a candidate up once a part of the queries leaves it no hope"
    )


class SimplexConfig(Strict):
    """Weights on the simplex, fitted on the criterion by a derivative-free search from equal weights."""

    name: Literal["simplex"]
    seed: int = Field(0, ge=0, lt=2**31)
    max_steps: int = Field(30, ge=1, le=1000)


SelectionConfig = Annotated[
    AllConfig | TopKConfig | GreedyConfig | SimplexConfig, Field(discriminator="name")
]


class EnsembleFile(Strict):
    """The keys of an ensemble file.

    The pot is what `searches` recorded, the newest version of each trial, and the models that `members`
    names; with neither it is the latest search. Of a large pot the `pot_size` best by the criterion are
    considered.
    """

    searches: list[_Name] = Field([], max_length=1000)
    members: list[_Name] = Field([], max_length=MAX_MEMBERS, description="references, as models:/NAME@ALIAS")
    pot_size: int = Field(50, ge=1, le=1000)
    fusion: Literal["mean", "concat", "similarity"] = "mean"
    weights: list[Annotated[float, Field(ge=1e-6, le=1e6)]] | None = Field(None, max_length=MAX_MEMBERS)
    selection: SelectionConfig = AllConfig()
    criterion: str = Field("", description="a recall such as val/recall_at_1; empty takes the objective")
    alias: str | None = Field("ensemble", min_length=1, max_length=100)
    eval: CombinationEvalConfig | None = None


def load_ensemble(path: Path, overrides: Sequence[str] = ()) -> CombinationDocument[EnsembleFile]:
    """Read and check an ensemble file.

    Raises:
        ConfigError: with every problem of the file and the overrides, each with its line.
    """
    return load_combination(path, EnsembleFile, overrides, checks=(_check_weights, _check_selection))


def _check_weights(root: Node, file: EnsembleFile) -> list[Problem]:
    """Given weights belong to named members, all of which are taken."""
    if file.weights is None:
        return []
    keys = ("weights",)
    place = find(root, keys).place
    if file.fusion == "concat":
        return [Problem(place, keys, "concat takes equal weights; use fusion: similarity, or leave them out")]
    if file.searches or file.selection.name != "all":
        return [
            Problem(
                place, keys, "belong to named members; list them in members, without searches or selection"
            )
        ]
    if len(file.weights) != len(file.members):
        counts = f"{len(file.members)} members and {len(file.weights)} weights"
        return [Problem(place, keys, f"must be one for each of members, got {counts}")]
    return []


def _check_selection(root: Node, file: EnsembleFile) -> list[Problem]:
    keys = ("selection",)
    place = find(root, keys).place
    if isinstance(file.selection, SimplexConfig) and file.fusion != "similarity":
        text = f"simplex fits the weights of fusion: similarity, got fusion: {file.fusion}; use greedy there"
        return [Problem(place, keys, text)]
    if isinstance(file.selection, GreedyConfig) and file.fusion == "concat" and file.selection.bags > 1:
        text = "bags add up to unequal weights, which concat cannot have; use fusion: similarity"
        return [Problem(find(root, (*keys, "bags")).place, (*keys, "bags"), text)]
    return []
