"""One of several options, which may hold searched values themselves, and the tree that all of them make."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, TypeGuard

from vgsearch.config.distributions import (
    Categorical,
    IntRange,
    LogUniform,
    Range,
    Scalar,
    Uniform,
    format_scalar,
    repeated_scalar,
)

Tree: TypeAlias = "Scalar | Mapping[str, Tree] | list[Tree] | Range | Choice"


def is_scalar(tree: object) -> TypeGuard[Scalar]:
    """Whether `tree` is a fixed plain value."""
    return tree is None or isinstance(tree, (str, int, float, bool))


@dataclass(frozen=True)
class Choice:
    """One of several options; an option may be a scalar, a mapping, a list, a range or another choice.

    Raises:
        ValueError: there is no option, or two scalar options are equal.
    """

    options: tuple[Tree, ...]
    line: int = field(default=0, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", tuple(self.options))
        if not self.options:
            raise ValueError("!choice needs at least one option, got []")
        repeated = repeated_scalar(self.options)
        if repeated is not None:
            raise ValueError(f"!choice must not repeat an option, got {repeated}; keep one")

    @property
    def distribution(self) -> Categorical:
        """What is asked for: the scalars themselves, or branch labels where any option is no scalar."""
        scalars = tuple(option for option in self.options if is_scalar(option))
        if len(scalars) == len(self.options):
            return Categorical(scalars, self.line)
        return Categorical(tuple(self.label(i) for i in range(len(self.options))), self.line)

    def label(self, index: int) -> str:
        """The stable label of a branch: its index, and its name, value or tag where that helps the reader."""
        option = self.options[index]
        text = ""
        if isinstance(option, Mapping):
            name = option.get("name")
            text = name if isinstance(name, str) else ""
        elif isinstance(option, Choice):
            text = "choice"
        elif isinstance(option, (Uniform, LogUniform, IntRange)):
            text = str(option).split()[0].removeprefix("!")
        elif is_scalar(option):
            text = format_scalar(option)
        text = re.sub(r"[^A-Za-z0-9._-]+", "-", text)[:64]
        return f"{index}_{text}" if text else str(index)
