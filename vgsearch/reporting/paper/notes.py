"""What stands below a table: who ours is, what would produce the rest, and what cannot be compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_lowercase

from vgsearch.reporting.paper.filled import FilledRow, FilledTable
from vgsearch.reporting.paper.labels import LabelColumns
from vgsearch.reporting.paper.printed import DATA_SETS, printed_recall, query_counts
from vgsearch.reporting.verdicts import listed, outside
from vgsearch.reporting.wording import with_interval


@dataclass(frozen=True)
class Note:
    """One remark.

    Attributes:
        mark: What refers to it: `a` beside the paper's row, `1` beside ours.
        text: In words.
        commands: To be copied.
    """

    mark: str
    text: str
    commands: tuple[str, ...] = ()


@dataclass(frozen=True)
class Marks:
    """The marks of one row: of the paper's line, and of ours."""

    paper: tuple[str, ...]
    ours: str


@dataclass(frozen=True)
class Annotation:
    """The marks of each row, those that every row would have, and the notes, the paper's first."""

    rows: tuple[Marks, ...]
    shared: tuple[str, ...]
    notes: tuple[Note, ...]


def annotate(table: FilledTable) -> Annotation:
    """Number the notes of a table in the order of its rows; equal ones are said once."""
    letters: dict[str, str] = {}
    numbers: dict[tuple[str, tuple[str, ...]], str] = {}
    marks = []
    for row in table.rows:
        paper = tuple(letters.setdefault(text, ascii_lowercase[len(letters)]) for text in _paper_texts(row))
        content = (_our_text(row), row.commands)
        ours = numbers.setdefault(content, str(len(numbers) + 1)) if content[0] else ""
        marks.append(Marks(paper, ours))
    shared = tuple(mark for mark in letters.values() if all(mark in each.paper for each in marks))
    rows = [Marks(tuple(m for m in each.paper if m not in shared), each.ours) for each in marks]
    notes = [Note(mark, text) for text, mark in letters.items()]
    notes += [Note(mark, text, commands) for (text, commands), mark in numbers.items()]
    return Annotation(tuple(rows), shared, tuple(notes))


def ours_name(row: FilledRow, mark: str) -> str:
    """What stands before our side of a row: `ours (1)`, `ours* (1)` where a test chose it, `not run (2)`."""
    spoiled = "*" if row.ours and row.match is not None and row.match.run.selected_on_test else ""
    return f"{'ours' if row.ours else row.state}{spoiled} ({mark})"


def suffix(marks: Sequence[str]) -> str:
    """` (a, b)`, or nothing."""
    return f" ({', '.join(marks)})" if marks else ""


def opening_lines(table: FilledTable, annotation: Annotation) -> list[str]:
    """What holds for every row, and how many queries the paper's intervals rest on."""
    shared = LabelColumns.of(table.printed).shared_line()
    if annotation.shared:
        shared = f"{shared or 'every row:'}{suffix(annotation.shared)}"
    counts = query_counts()
    splits = table.printed.splits
    known = [f"{DATA_SETS[split]} {counts[split]}" for split in splits if split in counts]
    queries = f"queries: {', '.join(known)}" if known else ""
    unknown = [DATA_SETS[split] for split in splits if split not in counts]
    missing = f"no interval for {listed(unknown)}: its number of queries is not known" if unknown else ""
    return [line for line in (shared, "; ".join(part for part in (queries, missing) if part)) if line]


def apart_lines(table: FilledTable) -> list[str]:
    """Say where ours and the paper's stand apart by their intervals; nothing without ours."""
    labels = LabelColumns.of(table.printed)
    apart, level = [], 0
    for row in table.rows:
        if row.asked.no_target:
            continue
        for (split, n), ours in row.ours.items():
            paper = printed_recall(split, n, row.printed.percents[split, n])
            if paper is None:
                continue
            if not (outside(ours, paper) or outside(paper, ours)):
                level += 1
                continue
            side = "above" if ours.value > paper.value else "below"
            apart.append(
                f"Ours is {side} the paper's, neither within the other's interval: "
                f"{labels.row_name(row.printed)}, {DATA_SETS[split]} R@{n}, "
                f"{with_interval(ours)} against {with_interval(paper)}."
            )
    if level:
        cells = "1 recall" if level == 1 else f"{level} recalls"
        apart.append(f"{cells} of ours cannot be told from the paper's by the intervals.")
    return apart


def _paper_texts(row: FilledRow) -> list[str]:
    texts = []
    if row.asked.no_target:
        texts.append(f"no target: {row.asked.no_target}")
    return texts


def _our_text(row: FilledRow) -> str:
    if row.match is None:
        return "not run:"
    run, count = row.match.run, row.match.num_matching
    champion = " (champion)" if run.is_champion else ""
    which = f", the best on val of {count} that match" if count > 1 else ""
    parts = [f"ours: {run.reference}{champion}{which}"]
    if run.val_percent is not None:
        parts.append(f"{run.objective} {run.val_percent:.1f}")
    parts += row.other_networks
    if run.selected_on_test:
        parts.append("* selected on test: a test had a say in choosing it, so its test recalls are no result")
    if row.differences:
        parts.append(f"other than the paper: {', '.join(row.differences)}")
    if row.commands:
        parts.append("what would score the rest:" if row.ours else "not scored on the tests:")
    return "; ".join(parts)
