"""What a searched value may be: the ranges and choices that stand in place of a fixed value."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

Scalar: TypeAlias = str | int | float | bool | None
LARGEST = sys.float_info.max


def format_scalar(value: Scalar) -> str:
    """`value` as YAML would spell it, floats without a trailing `.0`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return str(value)


def _shown(bound: Scalar) -> str:
    # A float keeps its `.0` here: that is why `!int` refuses it.
    return repr(bound) if isinstance(bound, (str, float)) else format_scalar(bound)


def _check_bounds(tag: str, low: float, high: float) -> None:
    """Raise ValueError unless both bounds are finite numbers with `low < high`."""
    for bound in (low, high):
        if isinstance(bound, bool) or not isinstance(bound, (int, float)) or not abs(bound) < LARGEST:
            raise ValueError(f"{tag} takes two finite numbers [low, high], got {_shown(bound)}")
    if low >= high:
        raise ValueError(
            f"{tag} needs low < high, got [{format_scalar(low)}, {format_scalar(high)}]; "
            "write a single value to fix it"
        )


@dataclass(frozen=True)
class Uniform:
    """A real number drawn evenly from [low, high]. `line` is where the file says so (0: nowhere)."""

    low: float
    high: float
    line: int = field(default=0, compare=False, repr=False)

    def __post_init__(self) -> None:
        _check_bounds("!uniform", self.low, self.high)

    def __str__(self) -> str:
        return f"!uniform [{format_scalar(self.low)}, {format_scalar(self.high)}]"

    @property
    def centre(self) -> float:
        """The arithmetic middle."""
        return self.low / 2 + self.high / 2

    def contains(self, value: object) -> bool:
        """Whether `value` can be drawn."""
        return isinstance(value, (int, float)) and self.low <= value <= self.high


@dataclass(frozen=True)
class LogUniform:
    """A positive real number whose logarithm is drawn evenly from [log low, log high]."""

    low: float
    high: float
    line: int = field(default=0, compare=False, repr=False)

    def __post_init__(self) -> None:
        _check_bounds("!loguniform", self.low, self.high)
        if self.low <= 0:
            raise ValueError(
                f"!loguniform needs low > 0, got [{format_scalar(self.low)}, {format_scalar(self.high)}]"
            )

    def __str__(self) -> str:
        return f"!loguniform [{format_scalar(self.low)}, {format_scalar(self.high)}]"

    @property
    def centre(self) -> float:
        """The geometric middle."""
        return min(max(math.sqrt(self.low) * math.sqrt(self.high), self.low), self.high)

    def contains(self, value: object) -> bool:
        """Whether `value` can be drawn."""
        return isinstance(value, (int, float)) and self.low <= value <= self.high


@dataclass(frozen=True)
class IntRange:
    """A whole number drawn evenly from low to high, both included."""

    low: int
    high: int
    line: int = field(default=0, compare=False, repr=False)

    def __post_init__(self) -> None:
        for bound in (self.low, self.high):
            if isinstance(bound, bool) or not isinstance(bound, int):
                raise ValueError(f"!int takes two whole numbers [low, high], got {_shown(bound)}")
        _check_bounds("!int", self.low, self.high)

    def __str__(self) -> str:
        return f"!int [{self.low}, {self.high}]"

    @property
    def centre(self) -> int:
        """The middle, rounded down."""
        return (self.low + self.high) // 2

    def contains(self, value: object) -> bool:
        """Whether `value` can be drawn."""
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high


@dataclass(frozen=True)
class Categorical:
    """One of several scalars: the options of a choice themselves, or the labels of its branches."""

    labels: tuple[Scalar, ...]
    line: int = field(default=0, compare=False, repr=False)

    def __str__(self) -> str:
        return f"!choice [{', '.join(format_scalar(label) for label in self.labels)}]"

    @property
    def centre(self) -> Scalar:
        """The first label."""
        return self.labels[0]

    def contains(self, value: object) -> bool:
        """Whether `value` is one of the labels."""
        return value in self.labels


Range: TypeAlias = Uniform | LogUniform | IntRange
Distribution: TypeAlias = Range | Categorical


def repeated_scalar(options: Sequence[object]) -> str | None:
    """Name the first two scalars that are equal (1, 1.0 and true are): a study cannot tell them apart."""
    seen: list[Scalar] = []
    for option in options:
        if not (option is None or isinstance(option, (str, int, float, bool))):
            continue
        for other in seen:
            if option == other:
                return f"{format_scalar(other)} and {format_scalar(option)}"
        seen.append(option)
    return None
