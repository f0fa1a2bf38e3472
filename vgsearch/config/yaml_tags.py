"""YAML with search tags (`!uniform`, `!loguniform`, `!int`, `!choice`), every value with its line.

Built on `yaml.SafeLoader`, which only composes here: nothing is ever constructed from a tag, and
`!!python/...` is an unknown one. Scalars resolve as in the YAML 1.2 core schema: `no` and `12:30` are text,
`1e-5` is a number; `010` is text too, because its readers disagree (8 or 10).
"""

from __future__ import annotations

import re

import yaml

from vgsearch.config.distributions import IntRange, LogUniform, Scalar, Uniform, repeated_scalar
from vgsearch.config.problems import Problem
from vgsearch.config.suggestions import nearest_hint
from vgsearch.config.tree import Broken, Content, Node, Options, Place
from vgsearch.errors import ConfigError

MAX_ALIASES = 32
MAX_DEPTH = 50
MAX_VALUES = 20_000

_CORE = "tag:yaml.org,2002:"
_PATTERNS = {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?(?:0|[1-9][0-9]*)",
    "float": r"[-+]?(?:(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
}
_RANGES: dict[str, type[Uniform] | type[LogUniform] | type[IntRange]] = {
    "!uniform": Uniform,
    "!loguniform": LogUniform,
    "!int": IntRange,
}
_TAGS = [*_RANGES, "!choice"]


class TaggedLoader(yaml.SafeLoader):
    """A safe loader with YAML 1.2 scalars and small limits on aliases and depth."""

    yaml_implicit_resolvers = {}  # PyYAML's own way to say which plain scalars are no text; filled below
    alias_count = 0
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: object) -> yaml.Node | None:
        """Compose as PyYAML does, counting aliases, which could otherwise grow a file a thousandfold."""
        self.alias_count += self.check_event(yaml.events.AliasEvent)
        if self.alias_count > MAX_ALIASES:
            raise self._refusal(f"more than {MAX_ALIASES} aliases")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self._refusal(f"nested more than {MAX_DEPTH} deep")
        node = super().compose_node(parent, index)  # type: ignore[arg-type]
        self.depth -= 1
        return node

    def _refusal(self, rule: str) -> yaml.MarkedYAMLError:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        return yaml.composer.ComposerError(None, None, rule, mark)


for _kind, _pattern in _PATTERNS.items():
    TaggedLoader.add_implicit_resolver(_CORE + _kind, re.compile(f"^(?:{_pattern})$"), None)


def parse_yaml(text: str, place: Place) -> tuple[Node, list[Problem]]:
    """Read one YAML document.

    Args:
        text: the document.
        place: where it begins; its source and origin are given to every node.

    Returns:
        The tree, and the problems of its tags and keys; what had a problem is `Broken` in the tree.

    Raises:
        ConfigError: the text is not YAML at all, or holds more than `MAX_VALUES` values.
    """
    loader = None
    try:
        loader = TaggedLoader(text)
        root = loader.get_single_node()
        if root is None:
            return Node(None, place), []
        builder = _Builder(place)
        return builder.build(root, (), builder.place_of(root)), builder.problems
    except yaml.reader.ReaderError as error:
        where = Place(place.source, text.count("\n", 0, error.position) + 1, 0, place.origin)
        character = chr(error.character) if isinstance(error.character, int) else error.character
        raise ConfigError([f"{where}: not valid YAML: control character {character!r}"]) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = Place(place.source, mark.line + 1 if mark else 1, 0, place.origin)
        rule = error.problem or error.context or "it cannot be read"
        if error.context and rule.startswith(("but ", "second ")):
            rule = f"{error.context}, {rule}"
        raise ConfigError([f"{where}: not valid YAML: {' '.join(rule.split())}"]) from error
    except RecursionError as error:
        raise ConfigError([f"{place}: not valid YAML: nested too deeply"]) from error
    finally:
        if loader is not None:
            loader.dispose()


class _Builder:
    """Turns composed YAML nodes into our tree, collecting problems with their key paths."""

    def __init__(self, start: Place) -> None:
        self.start = start
        self.problems: list[Problem] = []
        self.count = 0
        self.open_nodes: set[int] = set()

    def place_of(self, node: yaml.Node) -> Place:
        mark = node.start_mark
        return Place(self.start.source, mark.line + 1, mark.column, self.start.origin)

    def broken(self, place: Place, keys: tuple[str, ...], text: str) -> Broken:
        self.problems.append(Problem(place, keys, text))
        return Broken()

    def build(self, node: yaml.Node, keys: tuple[str, ...], place: Place) -> Node:
        self.count += 1
        if self.count > MAX_VALUES:
            raise ConfigError([f"{place}: must hold at most {MAX_VALUES} values, aliases written out"])
        if id(node) in self.open_nodes:
            return Node(self.broken(place, keys, "an alias must not stand inside its own anchor"), place)
        self.open_nodes.add(id(node))
        try:
            return Node(self._content(node, keys, place), place)
        finally:
            self.open_nodes.discard(id(node))

    def _content(self, node: yaml.Node, keys: tuple[str, ...], place: Place) -> Content:
        tag = node.tag.replace(_CORE, "!!", 1) if node.tag.startswith(_CORE) else node.tag
        if tag in _RANGES:
            return self._range(node, tag, keys, place)
        if tag == "!choice":
            return self._choice(node, keys, place)
        if isinstance(node, yaml.MappingNode) and tag == "!!map":
            return self._mapping(node, keys)
        if isinstance(node, yaml.SequenceNode) and tag == "!!seq":
            return self._items(node, keys)
        if isinstance(node, yaml.ScalarNode) and tag in ("!!str", "!!null", "!!bool", "!!int", "!!float"):
            return self._scalar(node, tag, keys, place)
        hint = nearest_hint(tag, _TAGS)
        return self.broken(place, keys, f"unknown tag {tag}{hint or '; the tags are ' + ', '.join(_TAGS)}")

    def _scalar(
        self, node: yaml.ScalarNode, tag: str, keys: tuple[str, ...], place: Place
    ) -> Scalar | Broken:
        text: str = node.value
        kind = tag.removeprefix("!!")
        if kind == "str":
            return text
        if not re.fullmatch(_PATTERNS[kind], text) and not (kind == "float" and text.isdecimal()):
            return self.broken(place, keys, f"must be a value of type {tag}, got {text!r}")
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind == "int":
            if len(text) > 100:
                return self.broken(place, keys, f"must have at most 100 digits, got {len(text)}")
            return int(text)
        return float(re.sub(r"\.(?=inf|nan)", "", text.lower()))

    def _items(self, node: yaml.SequenceNode, keys: tuple[str, ...]) -> list[Node]:
        return [self.build(item, (*keys, str(i)), self.place_of(item)) for i, item in enumerate(node.value)]

    def _mapping(self, node: yaml.MappingNode, keys: tuple[str, ...]) -> dict[str, Node]:
        content: dict[str, Node] = {}
        for key_node, value_node in node.value:
            place = self.place_of(key_node)
            key = key_node.value
            if not isinstance(key_node, yaml.ScalarNode):
                self.broken(place, keys, "a key must be plain text, got a list or a mapping")
            elif key_node.tag.startswith("!"):
                self.broken(place, (*keys, key), f"a key takes no tag, got {key_node.tag}")
            elif key == "<<" and key_node.style is None:
                self.broken(place, (*keys, key), "merge keys are not supported; write the keys out")
            elif key in content:
                first = content[key].place.line
                self.broken(place, (*keys, key), f"this key stands on line {first} already; keep one")
            else:
                content[key] = self.build(value_node, (*keys, key), place)
        return content

    def _range(self, node: yaml.Node, tag: str, keys: tuple[str, ...], place: Place) -> Content:
        kind = "whole numbers" if tag == "!int" else "numbers"
        if not isinstance(node, yaml.SequenceNode):
            got = "a mapping" if isinstance(node, yaml.MappingNode) else repr(node.value)
            return self.broken(place, keys, f"{tag} takes two {kind} [low, high], got {got}")
        if len(node.value) != 2:
            return self.broken(place, keys, f"{tag} takes two {kind} [low, high], got {len(node.value)}")
        reported = len(self.problems)
        low, high = (item.content for item in self._items(node, keys))
        if len(self.problems) > reported:
            return Broken()
        for bound in (low, high):
            if isinstance(bound, (dict, list, Options, Uniform, LogUniform, IntRange)):
                return self.broken(
                    place, keys, f"{tag} takes two {kind} [low, high], no searched or nested value"
                )
        try:
            return _RANGES[tag](low, high, place.line)  # type: ignore[arg-type]
        except ValueError as error:
            return self.broken(place, keys, str(error))

    def _choice(self, node: yaml.Node, keys: tuple[str, ...], place: Place) -> Content:
        if not isinstance(node, yaml.SequenceNode):
            got = "a mapping" if isinstance(node, yaml.MappingNode) else repr(node.value)
            return self.broken(place, keys, f"!choice takes a list of options, got {got}")
        if not node.value:
            return self.broken(place, keys, "!choice needs at least one option, got []")
        options = [self.build(item, keys, self.place_of(item)) for item in node.value]
        repeated = repeated_scalar([option.content for option in options])
        if repeated is not None:
            self.broken(place, keys, f"!choice must not repeat an option, got {repeated}; keep one")
        return Options(tuple(options))
