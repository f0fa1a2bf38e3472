"""What the check of a folder found, as plain data; printing is left to the caller."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vgsearch.config.trial import CellsConfig

Severity = Literal["error", "warning", "note"]
FolderKind = Literal["training", "retrieval", "unlabelled"]

_ORDER: dict[Severity, int] = {"error": 0, "warning": 1, "note": 2}


@dataclass(frozen=True)
class Problem:
    """One finding in one line. An error stops a run, a warning may spoil its figures, a note does neither."""

    severity: Severity
    text: str


@dataclass(frozen=True)
class CellSummary:
    """How many classes and groups one setting of the cells gives.

    Attributes:
        setting: what differs from the setting that was asked for, such as `min_images=3`; "" for that itself.
        cells: the whole setting.
        num_images: images that fall into a kept class.
        classes_per_group: classes of each group, in the order in which groups train.
    """

    setting: str
    cells: CellsConfig
    num_images: int
    classes_per_group: tuple[int, ...]

    @property
    def num_groups(self) -> int:
        """Groups that hold a class."""
        return len(self.classes_per_group)

    @property
    def num_classes(self) -> int:
        """Classes of all groups together."""
        return sum(self.classes_per_group)

    @property
    def smallest_used_group(self) -> int:
        """Classes of the smallest group that would train: no batch can be larger."""
        return min(self.classes_per_group[: self.cells.groups_used], default=0)


@dataclass(frozen=True)
class FolderReport:
    """Everything that `check_folder` found.

    Attributes:
        folder: as given.
        kind: training photos, a retrieval set, or photos without coordinates (good as a target domain).
        counts: what was counted, in reading order: label -> number.
        image_sizes: (height, width, how many) of the commonest sizes, commonest first; empty if not decoded.
        cells: one summary per setting, the one asked for first; empty unless `kind` is training.
        problems: errors first, then warnings, then notes.
        recognised: in words, where positions, headings and queries come from.
    """

    folder: Path
    kind: FolderKind
    counts: dict[str, int]
    image_sizes: tuple[tuple[int, int, int], ...]
    cells: tuple[CellSummary, ...]
    problems: tuple[Problem, ...]
    recognised: tuple[str, ...] = ()

    @property
    def has_errors(self) -> bool:
        """Whether a run on this folder would stop."""
        return any(problem.severity == "error" for problem in self.problems)


def by_severity(problems: list[Problem]) -> tuple[Problem, ...]:
    """Errors first; the order within a severity stays."""
    return tuple(sorted(problems, key=lambda problem: _ORDER[problem.severity]))
