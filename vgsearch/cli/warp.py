"""`vgsearch warp`: training networks that re-rank."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
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
    from vgsearch.cli.present import unless_default
    from vgsearch.cli.train_warp import run_warp_training
    from vgsearch.search.interrupts import Interrupted, Interruption, winding_down

    console = Console()
    same = _command(file, overrides or [], model, *unless_default(home, data_root))
    go_on = f"the training was interrupted; its finished epochs are kept. Go on with:\n  {same}"
    interruption = Interruption(lambda text: _say(console, text), "stopping: finished epochs are kept")
    try:
        with winding_down(interruption.request, last_words=go_on):
            run_warp_training(
                file,
                overrides or [],
                console,
                model=model,
                home=home.resolve(),
                data_root=data_root.resolve(),
                check=interruption.check,
            )
    except Interrupted:
        _say(console, go_on)
        raise typer.Exit(130) from None


def _command(
    file: Path, overrides: Sequence[str], model: str | None, home: Path | None, data_root: Path | None
) -> str:
    """What was typed, so that it can be typed again."""
    words = ["vgsearch", "warp", "train", str(file)]
    words += [word for override in overrides for word in ("--set", override)]
    named = {"--model": model, "--home": home, "--data-root": data_root}
    return shlex.join(words + [str(word) for item in named.items() if item[1] is not None for word in item])


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
