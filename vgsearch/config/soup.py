"""What a soup is made of: which checkpoints, mixed how, chosen by what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from vgsearch.config.combination import CombinationDocument, CombinationEvalConfig, load_combination
from vgsearch.config.problems import Problem
from vgsearch.config.strict import Strict
from vgsearch.config.tree import Node, find

SoupMethod = Literal["greedy", "uniform", "interpolate", "model_stock", "greedy_weighted"]

_Name = Annotated[str, Field(min_length=1, max_length=300)]

# Keys that only one method reads.
_METHOD_OF_KEY: dict[str, SoupMethod] = {
    "between": "interpolate",
    "alphas": "interpolate",
    "shares": "greedy_weighted",
    "anchor": "model_stock",
}


class SoupFile(Strict):
    """The keys of a soup file.

    The pot is what `searches` recorded (the latest search, if none is named), the newest version of each
    trial, as far as it shares the champion's architecture or that of `architecture_of`. It is sorted by the
    criterion; of a large pot the `top_k` best are considered. With `criteria` one soup is made for each of
    them.
    """

    searches: list[_Name] = Field([], max_length=1000)
    architecture_of: str | None = Field(None, min_length=1, description="a version, as models:/NAME/3")
    top_k: int | None = Field(None, ge=1, description="null considers all")
    criterion: str = Field("", description="a recall such as val/recall_at_1; empty takes the objective")
    criteria: list[_Name] = Field([], max_length=100)
    method: SoupMethod = "greedy"
    between: list[_Name] = Field(
        [], max_length=2, description="interpolate: two versions; empty takes the two best"
    )
    alphas: list[Annotated[float, Field(ge=0, le=1)]] = Field(
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9], min_length=1, max_length=1000
    )
    shares: list[Annotated[float, Field(gt=0, lt=1)]] = Field([0.1, 0.3, 0.5], min_length=1, max_length=100)
    anchor: str | None = Field(None, min_length=1, description="model_stock: a checkpoint; null finds it")
    recalibrate_bn: Literal["auto", "on", "off"] = "auto"
    bn_images: int = Field(512, ge=1, le=1_000_000, description="training images for BatchNorm statistics")
    seed: int = Field(0, ge=0, lt=2**31, description="decides which training images these are")
    early_drop: bool = Field(True, description="give a soup up once it cannot reach the best one any more")
    image_cache_gb: float = Field(32.0, ge=0, description="most disk space for decoded images, 10^9 bytes")
    alias: str | None = Field("soup", min_length=1, max_length=100)
    eval: CombinationEvalConfig | None = None

    @property
    def considered_criteria(self) -> list[str]:
        """The criteria, one for each soup; empty where the search's objective is taken."""
        return list(self.criteria) or ([self.criterion] if self.criterion else [])


def load_soup(
    path: Path | None,
    overrides: Sequence[str] = (),
    *,
    check_criterion: Callable[[str], str | None] = lambda text: None,
) -> CombinationDocument[SoupFile]:
    """Read and check a soup file.

    Args:
        path: The file; None takes the defaults.
        overrides: `key=value` texts, applied in turn.
        check_criterion: Says in one sentence what is wrong with a criterion; None if nothing is.

    Raises:
        ConfigError: With every problem of the file and the overrides, each with its line.
    """

    def check_criteria(root: Node, file: SoupFile) -> list[Problem]:
        problems = []
        texts: list[tuple[tuple[str, ...], str]] = []
        if file.criterion:
            texts.append((("criterion",), file.criterion))
        texts += [(("criteria", str(i)), text) for i, text in enumerate(file.criteria)]
        for keys, text in texts:
            wrong = check_criterion(text)
            if wrong is not None:
                problems.append(Problem(find(root, keys).place, keys, wrong))
        return problems

    return load_combination(path, SoupFile, overrides, checks=(_check_keys, check_criteria))


def _check_keys(root: Node, file: SoupFile) -> list[Problem]:
    """Keys that contradict each other, or that the method does not read."""
    problems = []

    def refuse(key: str, text: str) -> None:
        problems.append(Problem(find(root, (key,)).place, (key,), text))

    for key, method in _METHOD_OF_KEY.items():
        if key in file.model_fields_set and file.method != method:
            refuse(key, f"belongs to method: {method}, got method: {file.method}; leave it out")
    if file.criterion and file.criteria:
        refuse("criteria", "stands in place of criterion; keep one of the two")
    if len(set(file.criteria)) < len(file.criteria):
        refuse("criteria", "must not repeat a criterion; keep one of each")
    if file.between and len(set(file.between)) != 2:
        refuse("between", f"must be two different versions, got {len(set(file.between))}")
    return problems
