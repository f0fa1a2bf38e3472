"""`vgsearch ui`: the MLflow UI over the store of this home."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from vgsearch.cli.options import DEFAULT_HOME, Home


def ui(
    home: Home = DEFAULT_HOME,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.", min=1, max=65535)] = 5000,
) -> None:
    """Open the MLflow UI on 127.0.0.1: experiments, curves, parameters, checkpoints and model versions.

    It serves until Ctrl+C. Each search is an experiment; each trial is a run inside the search's run.
    """
    from vgsearch.registry.ui import serve_ui

    code = serve_ui(
        home.resolve(),
        port=port,
        tracking_uri=os.environ.get("MLFLOW_TRACKING_URI") or None,
        ready=lambda address: typer.echo(f"MLflow UI over {home.resolve()}: {address} (Ctrl+C ends it)"),
    )
    raise typer.Exit(code)
