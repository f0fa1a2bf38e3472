"""Options and arguments that several commands share, with the environment variables that set them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vgsearch.config.query_method import QueryMethod

DEFAULT_HOME = Path("runs")
DEFAULT_DATA_ROOT = Path("data")

Home = Annotated[
    Path,
    typer.Option("--home", envvar="VGSEARCH_HOME", help="Where studies, trials and the MLflow store lie."),
]
DataRoot = Annotated[
    Path,
    typer.Option(
        "--data-root", envvar="VGSEARCH_DATA", help="Folder that the paths of the data section start from."
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Set any key of the file, e.g. --set trial.epochs=1 or "
        "--set 'trial.lr=!loguniform [1e-5, 1e-3]'. May be given several times.",
    ),
]
SpaceFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="A search space, e.g. search_spaces/demo.yaml.")
]
MODEL_HELP = (
    "A checkpoint folder, runs:/ID, models:/NAME@ALIAS or models:/NAME/VERSION; soups and ensembles too."
)
BatchSize = Annotated[int | None, typer.Option(min=1, help="Images at once.")]
ScoredQueryMethod = Annotated[
    QueryMethod | None,
    typer.Option(
        "--query-method",
        help="How queries are brought to the network and their descriptors to the search; default as in the "
        "checkpoint. nearest_crop and majority_voting search once for each of five crops.",
    ),
]
CropHeight = Annotated[
    int | None,
    typer.Option(
        "--crop-height-px",
        min=16,
        help="Size that the query method aims at, with --crop-width-px; default as the database's images, "
        "which are brought to just this size where it is given.",
    ),
]
CropWidth = Annotated[int | None, typer.Option("--crop-width-px", min=16, help="See --crop-height-px.")]
UseStore = Annotated[
    bool,
    typer.Option(
        "--store/--no-store",
        help="Read descriptors from HOME/descriptors and keep new ones there, or leave it alone.",
    ),
]
AllowTestSelection = Annotated[
    bool,
    typer.Option(
        "--allow-test-selection",
        help="Let a criterion read a test split; the version is tagged selected_on_test for ever.",
    ),
]
