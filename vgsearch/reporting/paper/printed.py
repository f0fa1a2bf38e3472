"""The paper's tables as it prints them, from the data files beside this module."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from vgsearch.errors import VgsearchError
from vgsearch.retrieval.recall import Recall

SPLITS = {"SF-XS": "sf_xs", "Tokyo XS": "tokyo_xs", "Tokyo Night": "tokyo_night"}
"""Our name of each test split, by the paper's name of the data set."""

DATA_SETS = {split: name for name, split in SPLITS.items()}
TABLE_NUMBERS = tuple(range(1, 19))

_RECALL = re.compile(r"(?P<data_set>.+) R@(?P<n>[0-9]+)")
_SECONDS = re.compile(r"(?P<data_set>.+) E\. Time \(s\)")

Column = tuple[str, int]
"""A split and the N of its recall."""


@dataclass(frozen=True)
class PrintedRow:
    """One row of a table.

    Attributes:
        labels: What names it, by the paper's column; merged cells are filled in.
        percents: The recall in each column, as printed.
        seconds: Extraction times by split, where the table has them.
    """

    labels: Mapping[str, str]
    percents: Mapping[Column, float]
    seconds: Mapping[str, str]


@dataclass(frozen=True)
class PrintedTable:
    """One table.

    Attributes:
        number: From 1.
        section: Of the paper.
        caption: What it shows, in our words.
        label_names: The paper's columns before the recalls.
        columns: The columns of recalls, in order.
        rows: In order.
    """

    number: int
    section: str
    caption: str
    label_names: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[PrintedRow, ...]

    @property
    def splits(self) -> tuple[str, ...]:
        """The test splits of its columns, in order."""
        return tuple(dict.fromkeys(split for split, _ in self.columns))

    def ns(self, split: str) -> tuple[int, ...]:
        """The Ns of one split's columns."""
        return tuple(n for each, n in self.columns if each == split)


def printed_tables(numbers: Sequence[int] = TABLE_NUMBERS) -> list[PrintedTable]:
    """Read tables by their numbers, each once, in the given order.

    Raises:
        VgsearchError: The paper has no table of a number.
    """
    unknown = [number for number in numbers if number not in TABLE_NUMBERS]
    if unknown:
        raise VgsearchError(
            f"the paper's tables are numbered {TABLE_NUMBERS[0]} to {TABLE_NUMBERS[-1]}, "
            f"got {', '.join(map(str, unknown))}: --table 1 --table 15, for instance"
        )
    heads = {int(row["Table"]): row for row in read_data("tables.csv")}
    return [_table(number, heads[number]) for number in dict.fromkeys(numbers)]


def printed_recall(split: str, n: int, percent: float) -> Recall | None:
    """A printed recall as hits among the split's queries; None where their number is not known.

    The paper rounds to a tenth, so the hits are those whose share is nearest.
    """
    queries = query_counts().get(split)
    if queries is None:
        return None
    return Recall(n=n, hits=round(percent * queries / 100), num_queries=queries)


@cache
def query_counts() -> Mapping[str, int]:
    """Number of queries of each test split, where it is known."""
    return {
        SPLITS[row["Data set"]]: int(row["Queries"])
        for row in read_data("query_counts.csv")
        if row["Split"] == "test" and row["Queries"]
    }


def read_data(name: str) -> list[dict[str, str]]:
    """Rows of one of the data files, by column."""
    text = resources.files("vgsearch.reporting.paper").joinpath("data", name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def _table(number: int, head: Mapping[str, str]) -> PrintedTable:
    rows = read_data(f"table_{number:02d}.csv")
    recalls = {name: match for name in rows[0] if (match := _RECALL.fullmatch(name))}
    seconds = {name: match for name in rows[0] if (match := _SECONDS.fullmatch(name))}
    columns = {name: (SPLITS[match["data_set"]], int(match["n"])) for name, match in recalls.items()}
    labels = [name for name in rows[0] if name not in recalls and name not in seconds]
    return PrintedTable(
        number=number,
        section=head["Section"],
        caption=head["Caption"],
        label_names=tuple(labels),
        columns=tuple(columns.values()),
        rows=tuple(
            PrintedRow(
                labels={name: row[name] for name in labels},
                percents={column: float(row[name]) for name, column in columns.items()},
                seconds={SPLITS[match["data_set"]]: row[name] for name, match in seconds.items()},
            )
            for row in rows
        ),
    )
