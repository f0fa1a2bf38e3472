"""What a rule of the schema says to a researcher, in place of pydantic's own sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args, get_origin

from pydantic_core import ErrorDetails

from vgsearch.config.distributions import format_scalar
from vgsearch.config.schema import Shape
from vgsearch.config.suggestions import nearest_hint

_TYPE_WORDS = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "a mapping",
}
_LONGEST_VALUE = 60


def show(value: object) -> str:
    """A wrong value in a few words, always on one line."""
    if isinstance(value, str):
        return repr(value if len(value) <= _LONGEST_VALUE else value[:_LONGEST_VALUE] + "...")
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    if value is None or isinstance(value, (bool, int, float)):
        return format_scalar(value)
    return str(value)


def expected(shape: Shape) -> str:
    """The types that a key takes: `text or a mapping`."""
    words = []
    for member in shape.members:
        origin = get_origin(member) or member
        literals = [str(value) for value in get_args(member)] if origin not in (dict, list) else []
        word = f"one of {', '.join(literals)}" if literals else _TYPE_WORDS.get(origin, "a mapping")
        if word not in words:
            words.append(word)
    return " or ".join(words)


def rule(error: ErrorDetails, shape: Shape, *, drawn: bool = False) -> str:
    """The rule that one pydantic error is about, with the value that broke it and what to do.

    Args:
        error: one of `ValidationError.errors()`, of a value that is not an unknown or a missing key.
        shape: the type of the key that it stands on.
        drawn: the value comes from a range, so that no spelling of it can help.
    """
    kind = error["type"]
    value = error["input"]
    got = f"got {show(value)}"
    context: dict[str, Any] = error.get("ctx", {})
    bounds = {
        "greater_than": ("greater than", "gt"),
        "greater_than_equal": ("at least", "ge"),
        "less_than": ("less than", "lt"),
        "less_than_equal": ("at most", "le"),
    }
    if kind in bounds:
        words, key = bounds[kind]
        return f"must be {words} {show(context[key])}, {got}"
    if kind == "finite_number":
        return f"must be a finite number, {got}"
    if kind == "string_too_short":
        return "must not be empty, got ''"
    if kind == "string_pattern_mismatch":
        return f"must match {context['pattern']}, {got}"
    if kind == "value_error":
        return str(context.get("error", error["msg"]))
    if kind == "literal_error":
        choices = shape.literals()
        return f"must be one of {', '.join(choices)}, {got}{_hint(value, choices)}"
    if kind in ("model_attributes_type", "model_type", "dict_type"):
        names = shape.names()
        hint = f"; write {{name: {value}}}" if value in names else ""
        return f"must be {expected(shape)}, {got}{hint}"
    if shape.members:
        quotable = str in shape.members and isinstance(value, (int, float)) and not drawn
        quote = "; put it in quotes" if quotable else ""
        return f"must be {expected(shape)}, {got}{quote}"
    return f"{error['msg'][:1].lower()}{error['msg'][1:]}, {got}"


def name_rule(error: ErrorDetails, shape: Shape, given: object) -> str:
    """The rule for the key that tells models apart, when it is missing or has the wrong value `given`."""
    choices = shape.names()
    if error["type"] == "union_tag_not_found":
        return f"required key is missing; add one of {', '.join(choices)}"
    return f"must be one of {', '.join(choices)}, got {show(given)}{_hint(given, choices)}"


def _hint(value: object, choices: list[str]) -> str:
    return nearest_hint(value, choices) if isinstance(value, str) else ""
