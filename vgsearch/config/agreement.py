"""Whether a part of a configuration repeats what stands there anyway, fixed or by default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel


def same_value(first: Any, second: Any) -> bool:
    """Equality of plain values, in which true is not 1 but 1.0 is."""
    if isinstance(first, bool) != isinstance(second, bool):
        return False
    return bool(first == second)


def repeats(part: Any, whole: Any) -> bool:
    """Whether `part` says nothing else than `whole`; of a mapping it may say less."""
    if isinstance(part, Mapping) and isinstance(whole, Mapping):
        return all(key in whole and repeats(value, whole[key]) for key, value in part.items())
    return same_value(part, whole)


def default_of(model: type[BaseModel], key: str) -> Any:
    """The default of an optional key as a plain value."""
    default = model.model_fields[key].get_default(call_default_factory=True)
    return default.model_dump() if isinstance(default, BaseModel) else default
