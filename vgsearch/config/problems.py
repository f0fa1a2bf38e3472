"""Every problem of a configuration in one message: `file:line: key.path: rule, value; what to do`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from vgsearch.config.schema import Spot, keys_elsewhere, trace
from vgsearch.config.suggestions import nearest
from vgsearch.config.tree import Node, Place, at, find
from vgsearch.config.wording import name_rule, rule
from vgsearch.errors import ConfigError


@dataclass(frozen=True)
class Problem:
    """One sentence about one place: `text` is the rule, the value that broke it, and what to do."""

    place: Place
    keys: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        path = ".".join(key or "''" for key in self.keys)
        named = path and self.place.origin != f"--set {path}"
        line = f"{self.place}: {path}: {self.text}" if named else f"{self.place}: {self.text}"
        # A quoted key may hold a line break; a problem is one line all the same.
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)


def raise_problems(problems: Iterable[Problem]) -> None:
    """Raise one ConfigError with all `problems` in reading order, the first one about each value.

    Raises:
        ConfigError: there is at least one problem.
    """
    first: dict[tuple[Place, tuple[str, ...]], Problem] = {}
    for problem in problems:
        first.setdefault((problem.place, problem.keys), problem)
    if first:
        ordered = sorted(first.values(), key=lambda problem: problem.place)
        raise ConfigError([str(problem) for problem in ordered])


def explain(error: ValidationError, model: type[BaseModel], root: Node) -> list[Problem]:
    """Turn pydantic's errors about a decided tree into problems.

    Args:
        error: what `model` raised.
        model: the model of the whole tree.
        root: the decided tree that was validated.
    """
    traced = [(trace(model, details["loc"]), details) for details in error.errors(include_url=False)]
    all_keys = {spot.keys for spot, _ in traced}
    problems: list[Problem] = []
    seen: set[tuple[str, ...]] = set()
    for spot, details in traced:
        # Pydantic complains once for each type that a value may have. Complaints about its keys win; where
        # there are none, one sentence names all the types.
        if any(len(keys) > len(spot.keys) and keys[: len(spot.keys)] == spot.keys for keys in all_keys):
            continue
        if spot.keys in seen:
            continue
        seen.add(spot.keys)
        problems.append(_problem(spot, details, model, root))
    return problems


def _problem(spot: Spot, details: ErrorDetails, model: type[BaseModel], root: Node) -> Problem:
    node = find(root, spot.keys)
    kind = details["type"]
    if kind == "extra_forbidden":
        return Problem(node.place, spot.keys, unknown_key_text(spot.keys[-1], spot.owner, model))
    if kind == "missing":
        return Problem(node.place, spot.keys, "required key is missing; add it")
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        keys = (*spot.keys, spot.shape.discriminator or "name")
        name = at(root, keys)
        given = None if name is None else name.content
        return Problem(find(root, keys).place, keys, name_rule(details, spot.shape, given))
    text = rule(details, spot.shape, drawn=bool(node.note))
    if node.note:
        hint = "; use !int" if kind == "int_from_float" else ""
        text = f"{text} ({node.note}){hint}"
    return Problem(node.place, spot.keys, text)


def unknown_key_text(key: str, owner: type[BaseModel] | None, model: type[BaseModel]) -> str:
    """About a key that `owner` does not have: the nearest one, where else it exists, or all that it has."""
    valid = list(owner.model_fields) if owner is not None else []
    near = nearest(key, valid)
    elsewhere = keys_elsewhere(model, key)
    if near is None and elsewhere:
        return f"unknown key here; it belongs at {elsewhere[0]}"
    return "unknown key; " + (f"nearest: {near}" if near else f"valid keys: {', '.join(valid)}")
