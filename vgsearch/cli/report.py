"""`vgsearch report`: the paper's tables beside our recorded runs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from vgsearch.cli.options import DEFAULT_HOME, Home
from vgsearch.errors import VgsearchError

if TYPE_CHECKING:
    from vgsearch.reporting.paper.filled import FilledTable
    from vgsearch.reporting.paper.our_runs import OurRuns


def report(
    paper: Annotated[
        bool, typer.Option("--paper", help="The paper's Tables 1 to 18, ours below each of its rows.")
    ] = False,
    table: Annotated[
        list[int] | None,
        typer.Option("--table", metavar="N", help="Only this table, 1 to 18. May be given several times."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write Markdown (FILE.md) or CSV (FILE.csv) instead of printing."),
    ] = None,
    home: Home = DEFAULT_HOME,
) -> None:
    """Lay our recorded runs beside the paper's tables, row by row, both with 95% intervals.

    A run answers a row by its declared settings; of several the best on val. A row that none answers shows
    the command that would. Rows that are no target, and why, are marked. Nothing is scored.
    """
    if not paper:
        raise VgsearchError("vgsearch report prints the paper's tables: add --paper, e.g. --paper --table 1")
    if out is not None and out.suffix not in (".md", ".csv"):
        raise VgsearchError(f"--out writes Markdown or CSV: name a file that ends in .md or .csv, got {out}")
    from vgsearch.cli.rerankers import kept_rerankers
    from vgsearch.reporting.paper.filled import fill_table
    from vgsearch.reporting.paper.printed import TABLE_NUMBERS, printed_tables
    from vgsearch.reporting.paper.unplaced import unplaced_scores

    printed = printed_tables(table or TABLE_NUMBERS)
    ours, remarks = _read(home)
    rerankers = list(kept_rerankers(home).values())
    tables = [fill_table(each, ours.runs, rerankers) for each in printed]
    unplaced = unplaced_scores(ours.runs, tables) if not table else []
    remarks = [*remarks, *ours.unreadable, _summary(tables)]
    console = Console()
    if out is not None:
        from vgsearch.cli.files import write_files
        from vgsearch.reporting.paper.text_files import to_csv, to_markdown

        text = to_csv(tables, unplaced) if out.suffix == ".csv" else to_markdown(tables, unplaced, remarks)
        write_files(out.parent, {out.name: text.encode()})
        remarks = [f"written: {out}", *remarks]
    else:
        from vgsearch.reporting.paper.text_files import OPENING
        from vgsearch.reporting.paper.unplaced import render_unplaced

        console.print(Text(f"{OPENING} ± is half of an interval."))
        for each in tables:
            console.print()
            _print_table(each, console)
        if unplaced:
            console.print()
            console.print(render_unplaced(unplaced))
        console.print()
    for remark in remarks:
        console.print(Text(remark))


def _read(home: Path) -> tuple[OurRuns, list[str]]:
    """What is recorded, and what to say where there is no store; none is made to find that it is empty."""
    from vgsearch.cli.store import open_registry
    from vgsearch.registry.store_uri import STORE_FILE
    from vgsearch.reporting.paper.our_runs import OurRuns, read_our_runs

    if not os.environ.get("MLFLOW_TRACKING_URI") and not (home / STORE_FILE).exists():
        return OurRuns(), [f"{home} has no MLflow store, so nothing of ours is shown; --home names another."]
    return read_our_runs(open_registry(home.resolve())), []


def _print_table(table: FilledTable, console: Console) -> None:
    from vgsearch.reporting.paper.notes import annotate
    from vgsearch.reporting.paper.render import PaperTable

    console.print(PaperTable(table))
    for note in annotate(table).notes:
        console.print(Text(f"({note.mark}) {note.text}"))
        for command in note.commands:
            # Unwrapped, so that it can be copied from a narrow terminal.
            console.print(Text(f"    {command}"), soft_wrap=True)


def _summary(tables: Sequence[FilledTable]) -> str:
    """How many rows are in which state, such as `Of 3 rows: 2 not run, 1 ours`."""
    states = Counter(row.state for table in tables for row in table.rows)
    no_target = sum(1 for table in tables for row in table.rows if row.asked.no_target)
    counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    return f"Of {states.total()} rows: {counts}. {no_target} of them are no target."
