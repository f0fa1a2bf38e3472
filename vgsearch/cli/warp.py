"""`vgsearch warp`: training networks that re-rank."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from vgsearch.cli.options import DEFAULT_DATA_ROOT, DEFAULT_HOME, DataRoot, Home, Overrides

warp_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Train GeoWarp networks, which re-rank what a model found (see evaluate --rerank).",
)


@warp_app.callback()
def _several() -> None:
    """Keep the word `train` in the command, also while there is only one."""


@warp_app.command("train")
def train(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A training, e.g. warps/demo.yaml.")],
    overrides: Overrides = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="MODEL",
            help="Whose descriptors say which positives are near their query: a folder, runs:/ID, "
            "models:/..., or geowarp:NAME for the baseline of a kept re-ranker; default the encoder's own, "
            "pooled as network.pooling says.",
        ),
    ] = None,
    home: Home = DEFAULT_HOME,
    data_root: DataRoot = DEFAULT_DATA_ROOT,
) -> None:
    """Train a GeoWarp network: on random views of single photos, and on queries with their positives.

    The same training started again continues where it was, also after Ctrl+C or SIGTERM. The result is kept
    below HOME/rerankers, for vgsearch evaluate --rerank geowarp:NAME.
    """
    from vgsearch.cli.stopping import stoppable, typed
    from vgsearch.cli.train_warp import run_warp_training

    console = Console()
    with stoppable(console, lambda: typed(home=home, data_root=data_root)) as check:
        run_warp_training(
            file,
            overrides or [],
            console,
            model=model,
            home=home.resolve(),
            data_root=data_root.resolve(),
            check=check,
        )
