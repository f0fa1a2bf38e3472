"""A configuration as it stands in its file: every value with the place that it came from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from vgsearch.config.choice import Choice, Tree
from vgsearch.config.distributions import IntRange, LogUniform, Range, Scalar, Uniform


@dataclass(frozen=True, order=True)
class Place:
    """Where a value stands; places sort in reading order, the file first, then each `--set` in turn.

    `source` 0 is the file, i > 0 the i-th override; `origin` is the file's path or `--set KEY`.
    """

    source: int
    line: int
    column: int
    origin: str

    def __str__(self) -> str:
        return self.origin if self.source else f"{self.origin}:{self.line}"


@dataclass(frozen=True)
class Options:
    """The options of a `!choice`, each with its own place."""

    options: tuple[Node, ...]


@dataclass(frozen=True)
class Broken:
    """A value whose problem is already reported; nothing more is said about it."""


Content: TypeAlias = "Scalar | dict[str, Node] | list[Node] | Range | Options | Broken"


@dataclass(frozen=True)
class Node:
    """A value and its place: that of its key inside a mapping, its own elsewhere.

    `note` says which of many possible values a decided one is ("lower end of !uniform [0, 1]").
    """

    content: Content
    place: Place
    note: str = ""

    @property
    def is_searched(self) -> bool:
        """Whether this very value is a range or a choice."""
        return isinstance(self.content, (Uniform, LogUniform, IntRange, Options))


def unwrap(node: Node) -> Tree:
    """The same tree without places; a broken value is null."""
    content = node.content
    if isinstance(content, dict):
        return {key: unwrap(child) for key, child in content.items()}
    if isinstance(content, list):
        return [unwrap(child) for child in content]
    if isinstance(content, Options):
        return Choice(tuple(unwrap(option) for option in content.options), node.place.line)
    return None if isinstance(content, Broken) else content


def contents(mapping: dict[str, Node]) -> dict[str, Any]:
    """The bare contents of a mapping's values, one level deep."""
    return {key: child.content for key, child in mapping.items()}


def plain(node: Node) -> Any:
    """`unwrap` for a tree that holds no searched value: plain mappings, lists and scalars."""
    return unwrap(node)


def find(node: Node, keys: Sequence[str]) -> Node:
    """The node at the end of `keys` in a decided tree, or the deepest one on the way there."""
    for key in keys:
        content = node.content
        if isinstance(content, dict) and key in content:
            node = content[key]
        elif isinstance(content, list) and key.isdecimal() and int(key) < len(content):
            node = content[int(key)]
        else:
            break
    return node


def at(node: Node, keys: Sequence[str]) -> Node | None:
    """The node at exactly `keys` in a decided tree, or None."""
    for key in keys:
        if not isinstance(node.content, dict) or key not in node.content:
            return None
        node = node.content[key]
    return node


def searched_nodes(node: Node, keys: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Node]]:
    """Every range and choice with its keys, in reading order; what lies inside a choice is part of it."""
    if node.is_searched:
        yield keys, node
    elif isinstance(node.content, dict):
        for key, child in node.content.items():
            yield from searched_nodes(child, (*keys, key))
    elif isinstance(node.content, list):
        for i, child in enumerate(node.content):
            yield from searched_nodes(child, (*keys, str(i)))


def variants(node: Node) -> list[Node]:
    """Decided trees that together hold every option of every choice, both ends and the inside of every range.

    Siblings vary in step, so there are as many trees as the widest choice needs, not the product of all. That
    is enough to check each value by itself; it does not try every pair of values.
    """
    content = node.content
    if isinstance(content, (Uniform, LogUniform)):
        # The inner point is no whole number, so that a real range on a key that counts something is noticed.
        inside = content.low + (content.high - content.low) * 0.381966
        found = [(content.low, "lower end of"), (content.high, "upper end of"), (inside, "inside")]
        return [replace(node, content=value, note=f"{text} {content}") for value, text in found]
    if isinstance(content, IntRange):
        ends = [(content.low, "lower end of"), (content.high, "upper end of")]
        return [replace(node, content=value, note=f"{text} {content}") for value, text in ends]
    if isinstance(content, Options):
        return [variant for option in content.options for variant in variants(option)]
    if isinstance(content, dict):
        by_key = {key: variants(child) for key, child in content.items()}
        count = max((len(found) for found in by_key.values()), default=1)
        return [
            replace(node, content={key: found[min(i, len(found) - 1)] for key, found in by_key.items()})
            for i in range(count)
        ]
    if isinstance(content, list):
        by_item = [variants(child) for child in content]
        count = max((len(found) for found in by_item), default=1)
        return [
            replace(node, content=[found[min(i, len(found) - 1)] for found in by_item]) for i in range(count)
        ]
    return [node]
