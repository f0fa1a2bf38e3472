"""A file that says how to combine recorded models: read strictly, every problem with file, line and key.

The sections that soups and ensembles share stand here too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import ValidationError, field_validator

from vgsearch.config.overrides import apply_override
from vgsearch.config.problems import Problem, explain, raise_problems
from vgsearch.config.query_method import QueryMethod, multi_row_refusal
from vgsearch.config.schema import Shape
from vgsearch.config.search import EvalConfig
from vgsearch.config.source import read_text
from vgsearch.config.strict import Strict
from vgsearch.config.tree import Node, Place, plain, searched_nodes, unwrap
from vgsearch.config.truth_values import check_truth_values
from vgsearch.config.wording import show
from vgsearch.config.yaml_tags import parse_yaml
from vgsearch.errors import ConfigError

Model = TypeVar("Model", bound=Strict)
Check = Callable[[Node, Model], list[Problem]]


class CombinationEvalConfig(EvalConfig):
    """How images are brought to the models; a key that is left out is as the models were searched."""

    @field_validator("query_method")
    @classmethod
    def _one_row(cls, method: QueryMethod) -> QueryMethod:
        refusal = multi_row_refusal(method)
        if refusal is not None:
            raise ValueError(refusal)
        return method

    def over(self, base: EvalConfig) -> EvalConfig:
        """`base` with the keys that the file sets."""
        return base.model_copy(update={key: getattr(self, key) for key in self.model_fields_set})


@dataclass(frozen=True)
class CombinationDocument(Generic[Model]):
    """A checked file: its values, and its text for the record ("" where there was no file).

    `source` is None where the defaults alone were taken; `root` is the tree with the place of every value.
    """

    settings: Model
    text: str
    source: Path | None
    overrides: tuple[str, ...]
    root: Node


def load_combination(
    path: Path | None,
    model: type[Model],
    overrides: Sequence[str] = (),
    *,
    checks: Sequence[Check[Model]] = (),
) -> CombinationDocument[Model]:
    """Read and check one file.

    Args:
        path: the YAML file; None takes the defaults.
        model: what the whole file must be.
        overrides: `key.path=value` texts, applied in turn.
        checks: rules that span keys, asked only when every key by itself is right.

    Raises:
        ConfigError: with every problem of the file and the overrides, in reading order.
    """
    text = "" if path is None else read_text(path)
    place = Place(0, 1, 0, "defaults" if path is None else str(path))
    root, problems = parse_yaml(text, place)
    if root.content is None:
        root = Node({}, place)
    if not isinstance(root.content, dict):
        raise_problems(problems)
        got = "a tag" if root.is_searched else show(unwrap(root))
        keys = ", ".join(model.model_fields)
        raise ConfigError([f"{path}: must be a mapping with keys of {keys}, got {got}"])
    for source, override in enumerate(overrides, start=1):
        root, found = apply_override(root, override, source, model)
        problems += found
    text_of_searched = "takes one value here, not a range or a choice; write the value"
    problems += [Problem(node.place, keys, text_of_searched) for keys, node in searched_nodes(root)]
    raise_problems(problems)
    problems += check_truth_values(root, Shape((model,)))
    settings: Model | None = None
    try:
        settings = model.model_validate(plain(root))
    except ValidationError as error:
        problems += explain(error, model, root)
    raise_problems(problems)
    assert settings is not None  # an invalid file has raised
    for check in checks:
        problems += check(root, settings)
    raise_problems(problems)
    return CombinationDocument(settings, text, path, tuple(overrides), root)
