"""The searched part of a configuration: fixed values, ranges and choices, and how they are decided.

A `Space` knows no optimiser. `propose` asks a callable for each value that it meets, so branches which were
not taken are never asked for: nested choices are conditional spaces. Names are stable and unique: the key
path, plus the branch label inside a choice (`trial.loss.1_arcface.scale`), so that one path may have two
ranges in two branches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, TypeAlias

from vgsearch.config.choice import Choice, Tree
from vgsearch.config.distributions import (
    Categorical,
    Distribution,
    IntRange,
    LogUniform,
    Scalar,
    Uniform,
    format_scalar,
)
from vgsearch.config.space_json import space_differences, space_to_json

__all__ = [
    "Categorical",
    "Choice",
    "Distribution",
    "IntRange",
    "LogUniform",
    "Parameter",
    "Scalar",
    "Space",
    "Suggest",
    "Tree",
    "Uniform",
]

Suggest: TypeAlias = Callable[[str, Distribution], Scalar]

ROOT = "trial"


@dataclass(frozen=True)
class Parameter:
    """One searched value: its unique name, what it may be, its key path, its line (0: not from a file)."""

    name: str
    distribution: Distribution
    path: str
    line: int


@dataclass(frozen=True)
class Space:
    """The `trial` section with its searched values. Picklable with plain pickle; nothing in it changes."""

    tree: Mapping[str, Tree]

    def __post_init__(self) -> None:
        object.__setattr__(self, "tree", deepcopy(dict(self.tree)))

    def propose(self, suggest: Suggest) -> dict[str, Any]:
        """Decide every value that is met, in file order, by `suggest(name, distribution)`.

        Returns a fresh mapping of plain values: the decided `trial` section.

        Raises:
            ValueError: `suggest` returned a value outside the distribution.
        """
        decided = _decide(self.tree, ROOT, suggest)
        if not isinstance(decided, dict):
            raise TypeError("the root of a space is a mapping")
        return decided

    def centre(self) -> dict[str, Any]:
        """The section with the middle of each range (geometric for `!loguniform`) and each first option."""
        return self.propose(lambda _, distribution: distribution.centre)

    def centre_notes(self) -> list[str]:
        """What `centre` decided, a line a value: `trial.lr = 42, the middle of !uniform [20, 64]`."""
        notes = []

        def note(name: str, distribution: Distribution) -> Scalar:
            value = distribution.centre
            what = "the first" if isinstance(distribution, Categorical) else "the middle"
            notes.append(f"{name} = {format_scalar(value)}, {what} of {distribution}")
            return value

        self.propose(note)
        return notes

    def parameters(self) -> list[Parameter]:
        """Every searched value of every branch, in file order; names are unique."""
        return list(_parameters(self.tree, ROOT, ROOT))

    def to_json(self) -> str:
        """Canonical JSON: equal for files that differ in key order, comments or the spelling of numbers."""
        return space_to_json(self.tree)

    def differences(self, old_json: str) -> list[str]:
        """In words, how this space differs from the one that `to_json` once wrote; empty where it does not.

        Raises:
            ConfigError: `old_json` is not such a text.
        """
        return space_differences(old_json, self.tree, ROOT)


def _ask(suggest: Suggest, name: str, distribution: Distribution) -> Scalar:
    value = suggest(name, distribution)
    if not distribution.contains(value):
        raise ValueError(f"{name} must come from {distribution}, got {value!r}")
    return value


def _decide(tree: Tree, name: str, suggest: Suggest) -> Any:
    if isinstance(tree, Mapping):
        return {key: _decide(child, f"{name}.{key}", suggest) for key, child in tree.items()}
    if isinstance(tree, list):
        return [_decide(child, f"{name}.{i}", suggest) for i, child in enumerate(tree)]
    if isinstance(tree, Choice):
        distribution = tree.distribution
        index = distribution.labels.index(_ask(suggest, name, distribution))
        return _decide(tree.options[index], f"{name}.{tree.label(index)}", suggest)
    if isinstance(tree, (Uniform, LogUniform, IntRange)):
        return _ask(suggest, name, tree)
    return tree


def _parameters(tree: Tree, name: str, path: str) -> Iterator[Parameter]:
    children: Sequence[tuple[str, str, Tree]] = ()
    if isinstance(tree, Mapping):
        children = [(f"{name}.{key}", f"{path}.{key}", child) for key, child in tree.items()]
    elif isinstance(tree, list):
        children = [(f"{name}.{i}", f"{path}.{i}", child) for i, child in enumerate(tree)]
    elif isinstance(tree, Choice):
        yield Parameter(name, tree.distribution, path, tree.line)
        children = [(f"{name}.{tree.label(i)}", path, option) for i, option in enumerate(tree.options)]
    elif isinstance(tree, (Uniform, LogUniform, IntRange)):
        yield Parameter(name, tree, path, tree.line)
    for child_name, child_path, child in children:
        yield from _parameters(child, child_name, child_path)
