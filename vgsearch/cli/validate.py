"""`vgsearch validate`: read a file as `tune` would, and run nothing."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vgsearch.cli.options import DEFAULT_DATA_ROOT, DEFAULT_HOME, DataRoot, Home, Overrides, SpaceFile


def validate(
    file: SpaceFile,
    overrides: Overrides = None,
    data_root: DataRoot = DEFAULT_DATA_ROOT,
    folders: Annotated[
        bool, typer.Option("--folders/--no-folders", help="Also check that the data folders exist.")
    ] = True,
    home: Home = DEFAULT_HOME,
) -> None:
    """Check a search space: every key, every range, every branch, the backbones and the data folders.

    All problems come at once, each with file, line and key. Nothing is written.
    """
    from vgsearch.cli.load import load_space

    document = load_space(file, overrides, data_root, home=home, allow_missing=not folders)
    table = Table(title=f"{document.name}: what the search decides", title_justify="left")
    table.add_column("parameter", overflow="fold")
    table.add_column("values", overflow="fold")
    table.add_column("line", justify="right")
    for parameter in document.space.parameters():
        # As text: in markup, the options of a !choice in their brackets would be a style.
        table.add_row(parameter.name, Text(str(parameter.distribution)), str(parameter.line or ""))
    console = Console()
    if table.row_count:
        console.print(table)
    else:
        console.print(f"{document.name}: every value is fixed")
    console.print(
        f"{file} is valid: {document.search.num_trials} trials, {document.search.sampler.name} proposes, "
        f"{document.search.scheduler.name} stops, objective {document.search.objective}"
        f"{_first(len(document.start_with), document.search.num_trials)}",
        markup=False,
    )


def _first(entries: int, num_trials: int) -> str:
    if not entries:
        return ""
    count = str(entries) if entries <= num_trials else f"the first {num_trials} of {entries}"
    return f"; {count} from search.start_with go first"
