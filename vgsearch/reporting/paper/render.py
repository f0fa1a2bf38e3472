"""A filled table on a terminal: in the paper's layout where it fits, else one part for each data set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from vgsearch.reporting.paper.filled import FilledRow, FilledTable
from vgsearch.reporting.paper.labels import LabelColumns
from vgsearch.reporting.paper.notes import Marks, annotate, apart_lines, opening_lines, ours_name, suffix
from vgsearch.reporting.paper.printed import DATA_SETS, Column, printed_recall
from vgsearch.reporting.wording import bracket, half_width
from vgsearch.retrieval.recall import Recall

IntervalWriter = Callable[[Recall | None], str]

# Labels that are longer wrap, at the first of these widths that leaves room for the recalls.
_WRAP_AT = (30, 16)
_STYLES = {"ours": "green", "not scored": "yellow", "not run": "dim"}


class PaperTable:
    """One table; the console's width decides its layout.

    The notes that `annotate` gives belong below it; they are printed apart, since commands must not wrap.
    """

    def __init__(self, table: FilledTable) -> None:
        """Lay out `table`."""
        self._table = table
        self._labels = LabelColumns.of(table.printed)
        self._notes = annotate(table)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        printed = self._table.printed
        yield Text(f"Table {printed.number} (section {printed.section}): {printed.caption}", style="bold")
        for line in opening_lines(self._table, self._notes):
            yield Text(line)
        yield self._layout(console, options)
        for line in apart_lines(self._table):
            yield Text(line)

    def _layout(self, console: Console, options: ConsoleOptions) -> RenderableType:
        """The first that fits: data sets side by side or one below the other; whole intervals or halves."""
        splits = self._table.printed.splits
        for groups in ([splits], [(split,) for split in splits]):
            for wrap_at, writer in product(_WRAP_AT, (bracket, half_width)):
                tables = [self._part(group, writer, wrap_at) for group in groups]
                if all(_fits(table, console, options) for table in tables):
                    return _below_each_other(tables)
        return _below_each_other(tables)

    def _part(self, splits: Sequence[str], writer: IntervalWriter, wrap_at: int) -> Table:
        printed = self._table.printed
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
        for i, header in enumerate(self._labels.headers()):
            longest = max(len(row.labels[self._labels.shown[i]]) for row in printed.rows)
            may_wrap = longest > _WRAP_AT[0]
            table.add_column(header, no_wrap=not may_wrap, max_width=wrap_at if may_wrap else None)
        for split in splits:
            heads = (["time, s"] if printed.rows[0].seconds else []) + [f"R@{n}" for n in printed.ns(split)]
            for i, head in enumerate(heads):
                # Over the first of its columns; the others are recognised by standing right of it.
                table.add_column(
                    f"{DATA_SETS[split] if i == 0 else ''}\n{head}", justify="right", no_wrap=True
                )
        group = ""
        for row, marks in zip(self._table.rows, self._notes.rows, strict=True):
            if self._labels.group is not None and row.printed.labels[self._labels.group] != group:
                group = row.printed.labels[self._labels.group]
                table.add_row(Text(group))
            table.add_row(*self._paper_labels(row, marks), *self._values(row, splits, writer, paper_cell))
            if marks.ours:
                name = f"{self._labels.indent}  {ours_name(row, marks.ours)}"
                labels = [Text(name), *[Text("")] * (len(self._labels.shown) - 1)]
                table.add_row(*labels, *self._values(row, splits, writer, our_cell), style=_STYLES[row.state])
        return table

    def _paper_labels(self, row: FilledRow, marks: Marks) -> Iterator[Text]:
        first, *others = (row.printed.labels[name] for name in self._labels.shown)
        yield Text(f"{self._labels.indent}{first}{suffix(marks.paper)}")
        yield from map(Text, others)

    def _values(
        self,
        row: FilledRow,
        splits: Sequence[str],
        writer: IntervalWriter,
        write: Callable[[FilledRow, Column, IntervalWriter], str],
    ) -> Iterator[str]:
        for split in splits:
            if row.printed.seconds:
                yield row.printed.seconds[split] if write is paper_cell else our_seconds(row, split)
            for n in self._table.printed.ns(split):
                yield write(row, (split, n), writer)


def paper_cell(row: FilledRow, column: Column, writer: IntervalWriter) -> str:
    """The paper's recall as printed, with the interval of its queries."""
    percent = row.printed.percents[column]
    return value_with(percent, writer(printed_recall(*column, percent)))


def our_cell(row: FilledRow, column: Column, writer: IntervalWriter) -> str:
    """Our recall with its interval; a dash where only other columns of the row have one."""
    recall = row.ours.get(column)
    if recall is None:
        return "-" if row.ours else ""
    return value_with(recall.percent, writer(recall))


def our_seconds(row: FilledRow, split: str) -> str:
    """What describing the queries took us: whole seconds as the paper's from ten on, else a tenth."""
    seconds = row.seconds.get(split)
    if seconds is None:
        return "-" if row.ours else ""
    return f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.1f}"


def value_with(percent: float, interval: str) -> str:
    """`52.2 [49.1, 55.3]` or `52.2±3.1`, and the value alone where there is no interval."""
    return f"{percent:.1f} {interval}" if interval.startswith("[") else f"{percent:.1f}{interval}"


def _fits(table: Table, console: Console, options: ConsoleOptions) -> bool:
    """Whether no column is cut."""
    return Measurement.get(console, options.update(width=10_000), table).maximum <= options.max_width


def _below_each_other(tables: Sequence[Table]) -> Group:
    spaced: list[RenderableType] = [piece for table in tables for piece in (table, Text(""))]
    return Group(*spaced[:-1])
