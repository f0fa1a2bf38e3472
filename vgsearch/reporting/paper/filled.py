"""The paper's tables with our recorded runs beside each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from vgsearch.reporting.paper.asked import Asked
from vgsearch.reporting.paper.commands import score_commands, train_commands
from vgsearch.reporting.paper.interpretation import asked_by
from vgsearch.reporting.paper.matching import (
    Match,
    differences,
    find_match,
    find_test,
    scoring_differences,
)
from vgsearch.reporting.paper.our_runs import OurRun
from vgsearch.reporting.paper.printed import Column, PrintedRow, PrintedTable
from vgsearch.retrieval.recall import Recall

RowState = Literal["ours", "not scored", "not run", "not matched"]


@dataclass(frozen=True)
class FilledRow:
    """One row, with what we have of it.

    Attributes:
        printed: The paper's.
        asked: What it asks for.
        match: The run that stands for it; None without any.
        ours: Our recalls, in the columns that have been scored.
        seconds: What describing the queries took us, by split, where it was measured.
        commands: What would produce the missing ones, in order; none where nothing is missing or nothing can.
        differences: In what our training or scoring was another than the paper's.
    """

    printed: PrintedRow
    asked: Asked
    match: Match | None
    ours: Mapping[Column, Recall]
    seconds: Mapping[str, float]
    commands: tuple[str, ...]
    differences: tuple[str, ...]

    @property
    def state(self) -> RowState:
        """Whether there is anything of ours, and if not why."""
        if self.asked.method:
            return "not matched"
        if self.match is None:
            return "not run"
        return "ours" if self.ours else "not scored"


@dataclass(frozen=True)
class FilledTable:
    """A table of the paper with our side."""

    printed: PrintedTable
    rows: tuple[FilledRow, ...]


def fill_table(table: PrintedTable, runs: Sequence[OurRun]) -> FilledTable:
    """Find our side of every row; see `matching` for the rules."""
    return FilledTable(table, tuple(_fill_row(table, row, runs) for row in table.rows))


def _fill_row(table: PrintedTable, row: PrintedRow, runs: Sequence[OurRun]) -> FilledRow:
    asked = asked_by(table.number, row)
    match = find_match(runs, asked)
    if match is None:
        commands = train_commands(table.number, asked, table.splits)
        return FilledRow(row, asked, None, {}, {}, tuple(commands), ())
    tests = {split: find_test(match.run, split, asked) for split in table.splits}
    missing = [split for split, test in tests.items() if test is None]
    found = [test for test in tests.values() if test is not None]
    commands = score_commands(match.run.reference, asked, missing) if missing else []
    scored = [text for test in found for text in scoring_differences(test)]
    return FilledRow(
        printed=row,
        asked=asked,
        match=match,
        ours={
            (split, n): test.result.at(n) for split, n in table.columns if (test := tests[split]) is not None
        },
        seconds={
            test.split: test.result.query_extraction_s
            for test in found
            if test.result.query_extraction_s is not None
        },
        commands=tuple(commands),
        differences=tuple(dict.fromkeys([*differences(match.run, asked), *scored])),
    )
