"""The paper's tables with our recorded runs beside each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from vgsearch.reporting.paper.asked import Asked
from vgsearch.reporting.paper.commands import Means, score_commands, train_commands
from vgsearch.reporting.paper.interpretation import asked_by
from vgsearch.reporting.paper.matching import Match, differences, find_match
from vgsearch.reporting.paper.our_runs import OurRun
from vgsearch.reporting.paper.our_tests import OurTest
from vgsearch.reporting.paper.printed import Column, PrintedRow, PrintedTable
from vgsearch.reporting.paper.scorings import find_tests, other_networks, scoring_differences
from vgsearch.reporting.paper.unusual import unusual_reranker
from vgsearch.rerank.reranking import NamedReranker
from vgsearch.retrieval.recall import Recall

RowState = Literal["ours", "not scored", "not run"]


@dataclass(frozen=True)
class FilledRow:
    """One row, with what we have of it.

    Attributes:
        printed: The paper's.
        asked: What it asks for.
        match: The run that stands for it; None without any.
        ours: Our recalls, in the columns that have been scored.
        other_networks: What re-ranked or translated for ours, in words.
        seconds: What describing the queries took us, by split, where it was measured.
        commands: What would produce the missing ones, in order; none where nothing is missing.
        differences: In what our training or scoring was another than the paper's.
    """

    printed: PrintedRow
    asked: Asked
    match: Match | None
    ours: Mapping[Column, Recall]
    other_networks: tuple[str, ...]
    seconds: Mapping[str, float]
    commands: tuple[str, ...]
    differences: tuple[str, ...]

    @property
    def state(self) -> RowState:
        """Whether there is anything of ours, and if not why."""
        if self.match is None:
            return "not run"
        return "ours" if self.ours else "not scored"


@dataclass(frozen=True)
class FilledTable:
    """A table of the paper with our side."""

    printed: PrintedTable
    rows: tuple[FilledRow, ...]


@dataclass(frozen=True)
class _Answer:
    """What is recorded for a row: the run that stands for it, and its results as the row asks for them."""

    printed: PrintedRow
    asked: Asked
    match: Match | None
    tests: Mapping[str, OurTest]

    def misses(self, splits: Sequence[str]) -> list[str]:
        """The splits without a result."""
        return [split for split in splits if split not in self.tests]

    def reranker(self, kept: Sequence[NamedReranker]) -> str:
        """Of the networks that answer the row the one that has results already, else the first; or empty."""
        names = [
            each.name for each in kept if each.sort == self.asked.reranker and not unusual_reranker(each)
        ]
        networks = [test.reranking.network for test in self.tests.values() if test.reranking is not None]
        used = {network.name for network in networks if network is not None}
        return next((name for name in names if name in used), next(iter(names), ""))


def fill_table(
    table: PrintedTable, runs: Sequence[OurRun], rerankers: Sequence[NamedReranker] = ()
) -> FilledTable:
    """Find our side of every row; see `matching` and `scorings` for the rules.

    Args:
        table: As printed.
        runs: What is recorded.
        rerankers: The networks that re-rank, for the commands.
    """
    answers = [_answer(table, row, runs) for row in table.rows]
    return FilledTable(table, tuple(_fill_row(table, answer, answers, rerankers) for answer in answers))


def _answer(table: PrintedTable, row: PrintedRow, runs: Sequence[OurRun]) -> _Answer:
    asked = asked_by(table.number, row)
    match = find_match(runs, asked)
    return _Answer(row, asked, match, {} if match is None else find_tests(match.run, table.splits, asked))


def _fill_row(
    table: PrintedTable,
    answer: _Answer,
    others: Sequence[_Answer],
    rerankers: Sequence[NamedReranker],
) -> FilledRow:
    asked, match = answer.asked, answer.match
    missing = answer.misses(table.splits)
    means = Means(
        tops=_missing_tops(table, answer, others),
        reranker=answer.reranker(rerankers),
        folders={} if match is None else match.run.test_folders,
    )
    if match is None:
        commands = train_commands(table.number, asked, table.splits, means)
        return FilledRow(answer.printed, asked, None, {}, (), {}, tuple(commands), ())
    commands = score_commands(match.run.reference, asked, missing, means) if missing else []
    tests = [answer.tests[split] for split in table.splits if split in answer.tests]
    scored = [text for test in tests for text in scoring_differences(test)]
    return FilledRow(
        printed=answer.printed,
        asked=asked,
        match=match,
        ours={
            (split, n): answer.tests[split].result.at(n)
            for split, n in table.columns
            if split in answer.tests
        },
        other_networks=tuple(dict.fromkeys(text for test in tests for text in other_networks(test))),
        seconds={
            test.split: test.result.query_extraction_s
            for test in tests
            if test.result.query_extraction_s is not None
        },
        commands=tuple(commands),
        differences=tuple(dict.fromkeys([*differences(match.run, asked), *scored])),
    )


def _missing_tops(table: PrintedTable, answer: _Answer, others: Sequence[_Answer]) -> list[int]:
    """Each n of the rows that one command fills: one network re-ranks, and the same splits are missing."""
    asked, missing = answer.asked, answer.misses(table.splits)
    return [
        other.asked.top
        for other in others
        if replace(other.asked, top=asked.top) == asked and other.misses(table.splits) == missing
    ]
