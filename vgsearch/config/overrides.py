"""`--set trial.epochs=1`: any key from the command line, its value read as YAML with the search tags.

Inside a `!choice`, `trial.loss.name=arcface` keeps the options of that name, and any other key is set in
every option that has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pydantic import BaseModel

from vgsearch.config.problems import Problem
from vgsearch.config.schema import Shape, field_shape
from vgsearch.config.suggestions import nearest_hint
from vgsearch.config.tree import Broken, Node, Options, Place, contents
from vgsearch.config.wording import show
from vgsearch.config.yaml_tags import parse_yaml
from vgsearch.errors import ConfigError


class _CannotSetError(Exception):
    """The key cannot be set in this part of the tree; the text says why."""


def apply_override(root: Node, text: str, source: int, model: type[BaseModel]) -> tuple[Node, list[Problem]]:
    """Set one key.

    Args:
        root: the tree to set it in; it is not changed.
        text: `key.path=value` as the user typed it.
        source: 1 for the first override, 2 for the next; problems are listed in this order.
        model: the model of the whole tree, which says which keys each option of a choice has.

    Returns:
        The new tree and the problems of the override itself. Whether the value fits is for validation to say.
    """
    path, equals, value_text = text.partition("=")
    path = path.strip()
    keys = tuple(path.split("."))
    place = Place(source, 1, 0, f"--set {path}")
    if not equals or not all(keys):
        return root, [Problem(place, (), f"must look like key.path=value, got {show(text)}")]
    if not value_text.strip():
        return root, [Problem(place, keys, f"has no value; write {path}=null for none")]
    try:
        value, found = parse_yaml(value_text, place)
    except ConfigError as error:
        return root, [Problem(place, keys, text.removeprefix(f"{place}: ")) for text in error.problems]
    problems = [Problem(place, (*keys, *problem.keys), problem.text) for problem in found]
    try:
        return _set(root, keys, _moved(value, place), Shape((model,)), ()), problems
    except _CannotSetError as error:
        return root, [*problems, Problem(place, keys, str(error))]


def _moved(node: Node, place: Place) -> Node:
    """`node` with every place set to the override's own: lines inside one `--set` help nobody."""
    content = node.content
    if isinstance(content, dict):
        content = {key: _moved(child, place) for key, child in content.items()}
    elif isinstance(content, list):
        content = [_moved(child, place) for child in content]
    elif isinstance(content, Options):
        content = Options(tuple(_moved(option, place) for option in content.options))
    return Node(content, place)


def _set(node: Node, keys: tuple[str, ...], value: Node, shape: Shape, done: tuple[str, ...]) -> Node:
    """`node` with `value` at `keys` below it; `shape` is its type, `done` the keys that lead to it."""
    if not keys or isinstance(node.content, Broken):
        return value if not keys else node
    content = node.content
    if isinstance(content, Options):
        return _set_in_options(node, content, keys, value, shape, done)
    if content is None:
        content = _fresh_mapping(shape, value.place)
    if not isinstance(content, dict):
        path = ".".join(done)
        raise _CannotSetError(f"{path} is {show(node.content)}, not a mapping; set {path} as a whole")
    owner = shape.model_for(contents(content))
    child_shape = field_shape(owner, keys[0]) if owner is not None else Shape(())
    child = content.get(keys[0], Node(None, value.place))
    changed = _set(child, keys[1:], value, child_shape, (*done, keys[0]))
    return replace(node, content={**content, keys[0]: changed})


def _fresh_mapping(shape: Shape, place: Place) -> dict[str, Node]:
    """What a key that was absent or null starts from: the first name where models are told apart by name."""
    names = shape.names()
    return {shape.discriminator: Node(names[0], place)} if shape.discriminator and names else {}


def _set_in_options(
    node: Node, content: Options, keys: tuple[str, ...], value: Node, shape: Shape, done: tuple[str, ...]
) -> Node:
    """A choice with the key set in every option that has it, or cut down to the options of a name."""
    path = ".".join(done)
    if keys == ("name",):
        given = value.content.options if isinstance(value.content, Options) else (value,)
        wanted = [node_given.content for node_given in given]
        kept = _named(node, wanted)
        if kept is None:
            names = ", ".join(_names(content)) or "none"
            raise _CannotSetError(f"no option of the !choice at {path} has this name; their names: {names}")
        return kept
    options: list[Node] = []
    valid: set[str] = set()
    hits = 0
    for option in content.options:
        owner = None
        if isinstance(option.content, dict):
            owner = shape.model_for(contents(option.content))
            valid.update(owner.model_fields if owner is not None else ())
        try:
            if isinstance(option.content, Options) or (owner is not None and keys[0] in owner.model_fields):
                option = _set(option, keys, value, shape, done)
                hits += 1
        except _CannotSetError:
            pass
        options.append(option)
    if not hits:
        hint = nearest_hint(keys[0], sorted(valid))
        raise _CannotSetError(f"no option of the !choice at {path} has the key {'.'.join(keys)}{hint}")
    return replace(node, content=Options(tuple(options)))


def _named(node: Node, wanted: Sequence[object]) -> Node | None:
    """The part of a choice whose options have a wanted name; a single one stands for itself."""
    if isinstance(node.content, Options):
        kept = [option for option in (_named(o, wanted) for o in node.content.options) if option is not None]
        if len(kept) == 1:
            return replace(kept[0], place=node.place)
        return replace(node, content=Options(tuple(kept))) if kept else None
    if not isinstance(node.content, dict):
        return None
    name = node.content.get("name")
    return node if name is not None and name.content in wanted else None


def _names(content: Options) -> list[str]:
    """The fixed names of the options, in their order."""
    found: list[str] = []
    for option in content.options:
        if isinstance(option.content, Options):
            found.extend(_names(option.content))
        elif isinstance(option.content, dict):
            name = option.content.get("name")
            if name is not None and isinstance(name.content, str):
                found.append(name.content)
    return found
