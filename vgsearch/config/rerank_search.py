"""Which network re-ranks and how many candidates, chosen on val: what a user writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from vgsearch.config.combination import CombinationDocument, load_combination
from vgsearch.config.geowarp import PoolingName
from vgsearch.config.problems import Problem
from vgsearch.config.strict import Strict
from vgsearch.config.tree import Node, find

MOST_CANDIDATES = 20

_Text = Annotated[str, Field(min_length=1, max_length=300)]


class RerankSpace(Strict):
    """What is chosen between: each network with each n, and not re-ranking at all.

    `networks` are names or folders; where there are none, all that `vgsearch import geowarp` and
    `vgsearch warp train` made are tried. Of these, `encoder` and `pooling` leave those that they name.
    """

    networks: list[_Text] = Field([], max_length=100)
    encoder: list[_Text] = Field([], max_length=100)
    pooling: list[PoolingName] = Field([], max_length=2)
    n: list[Annotated[int, Field(ge=2, le=MOST_CANDIDATES)]] = Field(
        [5, 10, 15], min_length=1, max_length=MOST_CANDIDATES, description="how many candidates are re-ranked"
    )


class RerankSearch(Strict):
    """The keys of a file of `vgsearch rerank`."""

    name: str = Field(pattern=r"[A-Za-z0-9._-]{1,100}")
    model: _Text = Field(description="a folder, runs:/ID or models:/...")
    val: str | dict[str, str] | None = Field(
        None, description="selection splits, relative to the data root; null takes the model's own"
    )
    rerank: RerankSpace = RerankSpace()
    criterion: str = Field("", description="a recall such as val/recall_at_1; empty takes the objective")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field("auto", description="of the encoder")


def load_rerank_search(path: Path, overrides: Sequence[str] = ()) -> CombinationDocument[RerankSearch]:
    """Read and check a file.

    Raises:
        ConfigError: With every problem of the file and the overrides, each with its line.
    """
    return load_combination(path, RerankSearch, overrides, checks=(_check_repeats,))


def _check_repeats(root: Node, file: RerankSearch) -> list[Problem]:
    """What is named twice would be scored and counted twice."""
    problems = []
    for key in RerankSpace.model_fields:
        values = getattr(file.rerank, key)
        twice = sorted({str(value) for value in values if values.count(value) > 1})
        if twice:
            keys = ("rerank", key)
            problems.append(Problem(find(root, keys).place, keys, f"names {', '.join(twice)} twice"))
    return problems
