"""A space as canonical JSON, and the difference between two spaces in words, for a search that resumes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from vgsearch.config.choice import Choice, Tree, is_scalar
from vgsearch.config.distributions import IntRange, LogUniform, Uniform, format_scalar
from vgsearch.errors import ConfigError

_RANGES: dict[str, type[Uniform] | type[LogUniform] | type[IntRange]] = {
    "!uniform": Uniform,
    "!loguniform": LogUniform,
    "!int": IntRange,
}


def space_to_json(tree: Tree) -> str:
    """Sorted keys, no spaces, ranges as `{"!uniform": [low, high]}`: equal spaces give equal texts."""
    return json.dumps(_encode(tree), sort_keys=True, separators=(",", ":"))


def space_from_json(text: str) -> Tree:
    """Read back what `space_to_json` wrote.

    Raises:
        ConfigError: `text` is something else.
    """
    try:
        return _decode(json.loads(text))
    except (ValueError, TypeError) as error:
        raise ConfigError([f"the stored search space cannot be read: {error}"]) from error


def space_differences(old_json: str, tree: Tree, root: str) -> list[str]:
    """One line for each place where `tree` is not what `old_json` says, `root` being its outermost key."""
    lines: list[str] = []
    _compare(space_from_json(old_json), tree, root, lines)
    return lines


def describe(tree: Tree) -> str:
    """`tree` in one line, as YAML would spell it."""
    if isinstance(tree, Choice):
        return f"!choice [{', '.join(describe(option) for option in tree.options)}]"
    if isinstance(tree, Mapping):
        return "{" + ", ".join(f"{key}: {describe(child)}" for key, child in tree.items()) + "}"
    if isinstance(tree, list):
        return f"[{', '.join(describe(child) for child in tree)}]"
    return format_scalar(tree) if is_scalar(tree) else str(tree)


def _encode(tree: Tree) -> Any:
    if isinstance(tree, (Uniform, LogUniform)):
        return {str(tree).split()[0]: [_number(tree.low), _number(tree.high)]}
    if isinstance(tree, IntRange):
        return {"!int": [tree.low, tree.high]}
    if isinstance(tree, Choice):
        return {"!choice": [_encode(option) for option in tree.options]}
    if isinstance(tree, Mapping):
        return {key: _encode(child) for key, child in tree.items()}
    if isinstance(tree, list):
        return [_encode(child) for child in tree]
    return _number(tree) if isinstance(tree, float) else tree


def _number(value: float) -> float | int:
    """20 and 20.0 are one number; beyond 2**53 a float is left alone."""
    return int(value) if float(value).is_integer() and abs(value) < 2**53 else float(value)


def _decode(value: Any) -> Tree:
    if isinstance(value, list):
        return [_decode(child) for child in value]
    if not isinstance(value, dict):
        return value  # type: ignore[no-any-return]
    if len(value) == 1:
        ((key, content),) = value.items()
        if key in _RANGES:
            low, high = content
            return _RANGES[key](low, high)
        if key == "!choice":
            return Choice(tuple(_decode(option) for option in content))
    return {key: _decode(child) for key, child in value.items()}


def _compare(old: Tree, new: Tree, path: str, lines: list[str]) -> None:
    # Compared as text, because Python holds 1 and true for equal.
    if space_to_json(old) == space_to_json(new):
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in [*old, *(key for key in new if key not in old)]:
            if key not in new:
                lines.append(f"{path}.{key}: was {describe(old[key])}, is no longer set")
            elif key not in old:
                lines.append(f"{path}.{key}: was not set, is {describe(new[key])}")
            else:
                _compare(old[key], new[key], f"{path}.{key}", lines)
        return
    if isinstance(old, Choice) and isinstance(new, Choice) and _same_branches(old, new):
        for i, (old_option, new_option) in enumerate(zip(old.options, new.options, strict=True)):
            _compare(old_option, new_option, f"{path}.{new.label(i)}", lines)
        return
    lines.append(f"{path}: was {describe(old)}, is {describe(new)}")


def _same_branches(old: Choice, new: Choice) -> bool:
    """Whether both choices ask the same question and differ inside their branches only."""
    return old.distribution == new.distribution
