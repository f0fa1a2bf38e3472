"""`vgsearch ensemble`: fuse the descriptors of recorded models, selected on val."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from vgsearch.cli.options import DEFAULT_HOME, AllowTestSelection, Home, Overrides


def ensemble(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="An ensemble file, e.g. ensembles/descriptor_mean.yaml.")
    ],
    overrides: Overrides = None,
    alias: Annotated[
        str | None,
        typer.Option("--alias", metavar="NAME", help="The version's alias; else the file's."),
    ] = None,
    allow_test_selection: AllowTestSelection = False,
    home: Home = DEFAULT_HOME,
) -> None:
    """Make one model of several by fusing their descriptors, and record it as a version.

    Descriptors that are stored already are not extracted again.
    """
    from vgsearch.cli.build_ensemble import build_ensemble
    from vgsearch.config.ensemble import load_ensemble

    given = [*(overrides or ()), *(() if alias is None else (f"alias={alias}",))]
    document = load_ensemble(file, given)
    build_ensemble(document, home.resolve(), Console(), allow_test_selection=allow_test_selection)
