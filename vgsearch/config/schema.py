"""Questions about the pydantic models: which keys are valid here, and what an error's location means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class Shape:
    """A type taken apart: the members of its union without None, and the key that tells its models apart."""

    members: tuple[Any, ...]
    discriminator: str | None = None

    def models(self) -> list[type[BaseModel]]:
        """The members that are models."""
        return [member for member in self.members if _is_model(member)]

    def literals(self) -> list[str]:
        """The values that a Literal member allows, as text."""
        return [
            str(value)
            for member in self.members
            if get_origin(member) is Literal
            for value in get_args(member)
        ]

    def names(self) -> list[str]:
        """The values of the discriminating key, in the order of the union."""
        if self.discriminator is None:
            return []
        return [name for model in self.models() for name in _names_of(model, self.discriminator)]

    def model_for(self, value: object) -> type[BaseModel] | None:
        """The model that reads the mapping `value`; None where no mapping is allowed or its name is wrong."""
        models = self.models()
        if self.discriminator is None:
            return models[0] if models else None
        name = value.get(self.discriminator) if isinstance(value, Mapping) else None
        for model in models:
            if name in _names_of(model, self.discriminator):
                return model
        return None


@dataclass(frozen=True)
class Spot:
    """Where an error stands: the keys as a user writes them, the model that owns the last, the type there."""

    keys: tuple[str, ...]
    owner: type[BaseModel] | None
    shape: Shape


def shape_of(annotation: Any, discriminator: str | None = None) -> Shape:
    """Take a type apart, through Annotated and Optional."""
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        for item in metadata:
            if isinstance(item, FieldInfo) and isinstance(item.discriminator, str):
                discriminator = item.discriminator
        return shape_of(inner, discriminator)
    if get_origin(annotation) in (Union, UnionType):
        members: list[Any] = []
        for argument in get_args(annotation):
            if argument is NoneType:
                continue
            inner_shape = shape_of(argument)
            members.extend(inner_shape.members)
            discriminator = discriminator or inner_shape.discriminator
        return Shape(tuple(members), discriminator)
    return Shape((annotation,), discriminator)


def field_shape(model: type[BaseModel], key: str) -> Shape:
    """The shape of one field of `model`; no members where there is no such field."""
    field = model.model_fields.get(key)
    if field is None:
        return Shape(())
    discriminator = field.discriminator if isinstance(field.discriminator, str) else None
    return shape_of(field.annotation, discriminator)


def trace(model: type[BaseModel], location: Sequence[int | str]) -> Spot:
    """Read pydantic's `loc`, leaving out its own labels of union branches, which no user has written."""
    keys: list[str] = []
    owner: type[BaseModel] | None = None
    shape = Shape((model,))
    union: Shape | None = None
    for part in location:
        if len(shape.members) > 1:
            union, shape = shape, Shape((_branch(shape, part),))
            continue
        union = None
        member = shape.members[0] if shape.members else None
        keys.append(str(part))
        owner = member if _is_model(member) else None
        if owner is not None:
            shape = field_shape(owner, str(part))
        elif get_origin(member) is dict:
            shape = shape_of(get_args(member)[1])
        else:
            shape = Shape(())
    return Spot(tuple(keys), owner, union or shape)


def keys_elsewhere(model: type[BaseModel], key: str, prefix: str = "") -> list[str]:
    """Key paths in the whole schema that end with `key`, in the order of the fields."""
    found: list[str] = []
    for name in model.model_fields:
        path = f"{prefix}{name}"
        if name == key:
            found.append(path)
        for inner in field_shape(model, name).models():
            found.extend(path for path in keys_elsewhere(inner, key, f"{path}.") if path not in found)
    return found


def _branch(shape: Shape, label: int | str) -> Any:
    """The member of a union that pydantic calls `label`."""
    for member in shape.members:
        if shape.discriminator is not None and _is_model(member):
            if label in _names_of(member, shape.discriminator):
                return member
        elif label == (member.__name__ if isinstance(member, type) and not get_args(member) else None):
            return member
    containers = [member for member in shape.members if get_args(member)]
    return containers[0] if containers else None


def _names_of(model: type[BaseModel], discriminator: str) -> tuple[Any, ...]:
    field = model.model_fields.get(discriminator)
    return get_args(field.annotation) if field is not None else ()


def _is_model(member: Any) -> bool:
    return isinstance(member, type) and issubclass(member, BaseModel)
