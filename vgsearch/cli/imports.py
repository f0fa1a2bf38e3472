"""`vgsearch import`: networks that were trained elsewhere, as recorded models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from vgsearch.cli.options import DEFAULT_DATA_ROOT, DEFAULT_HOME, DataRoot, Home

import_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Record networks that were trained elsewhere, to evaluate, search from, and combine them.",
)


@import_app.callback()
def _several() -> None:
    """Keep the layout's name in the command, also while there is only one."""


@import_app.command("cosplace")
def cosplace(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="best_model.pth, last_checkpoint.pth, or a file of their releases."
        ),
    ],
    backbone: Annotated[
        str, typer.Option("--backbone", metavar="NAME", help="CosPlace's name of it, e.g. ResNet18.")
    ],
    name: Annotated[
        str | None,
        typer.Option("--name", help="Record it as vgsearch-NAME; default cosplace-BACKBONE."),
    ] = None,
    data_of: Annotated[
        str | None,
        typer.Option(
            "--data-of",
            metavar="SEARCH|FILE",
            help="Record it with this search's data and eval sections and with recalls on val, which soups "
            "and ensembles need.",
        ),
    ] = None,
    home: Home = DEFAULT_HOME,
    data_root: DataRoot = DEFAULT_DATA_ROOT,
) -> None:
    """Import a network of CosPlace or EigenPlaces; its descriptors are those that it has there.

    It becomes a version of the registered model vgsearch-NAME, and its champion if it is the first. Images
    are scored at their own size, as CosPlace does, unless --data-of says otherwise.
    """
    from vgsearch.cli.import_cosplace import run_import

    run_import(
        file, backbone, Console(), name=name, data_of=data_of, home=home.resolve(), data_root=data_root
    )
