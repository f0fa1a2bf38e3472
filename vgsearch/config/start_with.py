"""`search.start_with`: known good configurations that are tried first, found again in the searched space.

An entry is written like the `trial` section, in part or whole. What it says of a searched value becomes a
parameter under that value's name; searched values that it leaves out are the sampler's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from pydantic import BaseModel

from vgsearch.config.agreement import default_of, repeats, same_value
from vgsearch.config.choice import Choice, is_scalar
from vgsearch.config.distributions import IntRange, LogUniform, Scalar, Uniform, format_scalar
from vgsearch.config.problems import Problem, unknown_key_text
from vgsearch.config.schema import Shape, field_shape
from vgsearch.config.space import ROOT
from vgsearch.config.suggestions import nearest_hint
from vgsearch.config.tree import Broken, Node, Options, at, contents, plain, unwrap
from vgsearch.config.trial import TrialConfig
from vgsearch.config.wording import show

Keys = tuple[str, ...]

_REMEDY = "remove the key, or search it in trial"


@dataclass
class _Found:
    """Parameters by name that a part of an entry fixes, and what is wrong with it."""

    params: dict[str, Scalar] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def add(self, other: _Found) -> None:
        self.params.update(other.params)
        self.problems += other.problems


def read_start_with(root: Node) -> tuple[tuple[dict[str, Scalar], ...], list[Problem]]:
    """Find every entry of `search.start_with` in the space of `trial`.

    Args:
        root: the whole file. What the schema refuses (an entry that is no mapping) is left to it.

    Returns:
        for each entry the parameters that it fixes, by their names in the space; and the problems of all.
    """
    entries = at(root, ("search", "start_with"))
    trial = at(root, (ROOT,)) or Node({}, root.place)
    if entries is None or not isinstance(entries.content, list) or not isinstance(trial.content, dict):
        return (), []
    found = [
        start_with_params(trial, entry, ("search", "start_with", str(i)))
        for i, entry in enumerate(entries.content)
        if isinstance(entry.content, dict)
    ]
    return tuple(params for params, _ in found), [problem for _, problems in found for problem in problems]


def start_with_params(trial: Node, entry: Node, keys: Keys) -> tuple[dict[str, Scalar], list[Problem]]:
    """Find one entry in the space.

    Args:
        trial: the `trial` section, searched values included.
        entry: a mapping as in the `trial` section, as much of it as is known.
        keys: where the entry stands, for its problems.

    Returns:
        the parameters that it fixes, by their names in the space, and what is wrong with it.
    """
    found = _match(trial, entry, ROOT, keys, Shape((TrialConfig,)))
    return found.params, found.problems


def _match(space: Node, entry: Node, name: str, keys: Keys, shape: Shape) -> _Found:
    """Compare one value of the entry with what stands there in the space, whose parameter would be `name`."""
    content = space.content
    if isinstance(content, Broken) or isinstance(entry.content, Broken) or entry.is_searched:
        return _Found()  # reported already
    wrong = partial(_wrong, entry, keys)
    if isinstance(content, (Uniform, LogUniform, IntRange)):
        value = entry.content
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return wrong(f"must be a number of {content}, got {show(unwrap(entry))} {_line(space, entry)}")
        if isinstance(content, IntRange) and not isinstance(value, int):
            return wrong(f"must be a whole number of {content}, got {value} {_line(space, entry)}")
        if not content.contains(value):
            return wrong(f"{format_scalar(value)} is outside {content} {_line(space, entry)}")
        return _Found({name: value if isinstance(content, IntRange) else float(value)})
    if isinstance(content, Options):
        return _match_choice(space, content, entry, name, keys, shape)
    if not isinstance(content, dict) or not isinstance(entry.content, dict):
        if not isinstance(content, dict) and same_value(plain(space), plain(entry)):
            return _Found()
        fixed = "a mapping" if isinstance(content, dict) else show(plain(space))
        text = f"{show(unwrap(entry))} differs from {fixed}, which is not searched {_line(space, entry)}"
        return wrong(f"{text}; {_REMEDY}")
    return _match_mapping(content, entry.content, name, keys, shape)


def _match_mapping(
    space: dict[str, Node], entry: dict[str, Node], name: str, keys: Keys, shape: Shape
) -> _Found:
    owner = shape.model_for(contents(space))
    found = _Found()
    for key, value in entry.items():
        inner = (*keys, key)
        if key in space:
            child_shape = Shape(()) if owner is None else field_shape(owner, key)
            found.add(_match(space[key], value, f"{name}.{key}", inner, child_shape))
        elif owner is not None and key in owner.model_fields:
            found.add(_match_default(owner, key, value, inner))
        elif owner is not None:
            text = unknown_key_text(key, owner, TrialConfig)
            found.problems.append(Problem(value.place, inner, text))
        else:
            hint = nearest_hint(key, space) or f"; valid keys: {', '.join(space)}"
            found.problems.append(Problem(value.place, inner, f"unknown key{hint}"))
    return found


def _match_choice(space: Node, content: Options, entry: Node, name: str, keys: Keys, shape: Shape) -> _Found:
    """Find the one option that the entry's value fits, and what the value fixes inside of it."""
    try:
        choice = Choice(tuple(unwrap(option) for option in content.options))
    except ValueError:
        return _Found()  # an option is repeated, here or further in: reported already
    wrong = partial(_wrong, entry, keys)
    if all(is_scalar(option) for option in choice.options):
        for option in choice.options:
            if is_scalar(option) and same_value(option, plain(entry)):
                return _Found({name: option})
        words = [option for option in choice.options if isinstance(option, str)]
        hint = nearest_hint(entry.content, words) if isinstance(entry.content, str) else ""
        text = f"{show(unwrap(entry))} is no option of {choice.distribution} {_line(space, entry)}"
        return wrong(text + hint)
    labels = [choice.label(i) for i in range(len(choice.options))]
    tried = [
        _match(option, entry, f"{name}.{label}", keys, shape)
        for option, label in zip(content.options, labels, strict=True)
    ]
    fitting = [i for i, found in enumerate(tried) if not found.problems]
    if len(fitting) == 1:
        return _Found({name: labels[fitting[0]], **tried[fitting[0]].params})
    if fitting:
        several = ", ".join(labels[i] for i in fitting)
        return wrong(
            f"fits more than one option of the !choice {_line(space, entry)}: {several}; add a key that "
            "tells them apart"
        )
    meant = [i for i, option in enumerate(content.options) if _is_meant(option, entry)]
    if len(meant) == 1:
        return _Found(problems=tried[meant[0]].problems)
    return wrong(f"fits no option of the !choice {_line(space, entry)}: {', '.join(labels)}")


def _match_default(owner: type[BaseModel], key: str, entry: Node, keys: Keys) -> _Found:
    """A key that the file leaves at its default may be repeated, as any fixed one."""
    if owner.model_fields[key].is_required():
        return _Found()  # its absence is reported already
    default = default_of(owner, key)
    if repeats(plain(entry), default):
        return _Found()
    what = "its default" if isinstance(default, Mapping) else f"the default {show(default)}"
    return _wrong(entry, keys, f"{show(unwrap(entry))} differs from {what}, which is not searched; {_REMEDY}")


def _wrong(entry: Node, keys: Keys, text: str) -> _Found:
    return _Found(problems=[Problem(entry.place, keys, text)])


def _line(space: Node, entry: Node) -> str:
    """Where the space says so: `(line 17)` within the entry's own file, else the whole place."""
    same = space.place.origin == entry.place.origin and not space.place.source
    return f"(line {space.place.line})" if same else f"({space.place})"


def _is_meant(option: Node, entry: Node) -> bool:
    """Whether the writer of `entry` can have meant this option: a mapping, of the same name if it has one."""
    if not isinstance(option.content, dict) or not isinstance(entry.content, dict):
        return False
    name = entry.content.get("name")
    known = option.content.get("name")
    return name is None or known is None or name.content == known.content
