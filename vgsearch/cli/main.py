"""`vgsearch`: the commands, and the one place where an error becomes one line and exit code 2."""

from __future__ import annotations

import errno
import sys
from typing import Annotated

import typer

from vgsearch import __version__
from vgsearch.cli.best import best
from vgsearch.cli.compare import compare
from vgsearch.cli.data import data_app
from vgsearch.cli.descriptors import descriptors_app
from vgsearch.cli.ensemble import ensemble
from vgsearch.cli.evaluate import evaluate
from vgsearch.cli.fda import fda
from vgsearch.cli.gc import gc
from vgsearch.cli.imports import import_app
from vgsearch.cli.report import report
from vgsearch.cli.rerank_search import rerank
from vgsearch.cli.soup import soup
from vgsearch.cli.status import status
from vgsearch.cli.train import train
from vgsearch.cli.translate import translate_app
from vgsearch.cli.tune import tune
from vgsearch.cli.ui import ui
from vgsearch.cli.validate import validate
from vgsearch.cli.warp import warp_app
from vgsearch.errors import VgsearchError, first_line

_STORAGE_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}

app = typer.Typer(
    name="vgsearch",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Distributed hyperparameter search for visual geo-localization.\n\n"
    "[bold]Start here:[/bold]  vgsearch tune search_spaces/demo.yaml   (builds a small city of photos and "
    "searches on it)\n\n"
    "[bold]Your data:[/bold]   vgsearch data check DATA/train,  then  vgsearch validate FILE,  then  "
    "vgsearch tune FILE\n\n"
    "[bold]Results:[/bold]     vgsearch status SEARCH,  vgsearch ui,  vgsearch best SEARCH,  vgsearch "
    "evaluate models:/vgsearch-SEARCH@champion --on SPLIT",
)
app.command()(tune)
app.command()(train)
app.command()(evaluate)
app.command()(compare)
app.command()(soup)
app.command()(ensemble)
app.command()(rerank)
app.command()(status)
app.command()(best)
app.command()(report)
app.command()(ui)
app.command()(validate)
app.command()(gc)
app.command()(fda)
app.add_typer(data_app, name="data")
app.add_typer(descriptors_app, name="descriptors")
app.add_typer(import_app, name="import")
app.add_typer(warp_app, name="warp")
app.add_typer(translate_app, name="translate")


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"vgsearch {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line."""
    try:
        app()
    except VgsearchError as error:
        _fail(str(error))
    except BrokenPipeError:
        raise
    except OSError as error:
        # What our own code foresaw is a StorageError already; this is a disk that fails elsewhere.
        where = f"{error.filename}: " if error.filename else ""
        hint = "; free some space or choose a folder that you can write (--home)"
        _fail(f"{where}{error.strerror or error}{hint if error.errno in _STORAGE_ERRNOS else ''}")
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":  # PyTorch's, which is not imported for this
            raise
        _fail(f"{first_line(error)}; lower trial.batch_size or eval.batch_size")


def _fail(message: str) -> None:
    for line in message.splitlines():
        print(f"error: {line}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
