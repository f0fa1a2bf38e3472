"""`vgsearch rerank`: which network re-ranks, and how many candidates, chosen on val."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from vgsearch.cli.options import DEFAULT_DATA_ROOT, DEFAULT_HOME, DataRoot, Home, Overrides


def rerank(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A choice, e.g. rerankings/demo.yaml.")],
    overrides: Overrides = None,
    score_tests: Annotated[
        bool,
        typer.Option(
            "--score-tests",
            help="Also score the chosen one on the model's tests; the registry counts every such scoring.",
        ),
    ] = False,
    home: Home = DEFAULT_HOME,
    data_root: DataRoot = DEFAULT_DATA_ROOT,
) -> None:
    """Re-rank val with every GeoWarp network and every n that the file names, and choose the best.

    What a network says of a split is kept: started again, the command goes on with the next network.
    """
    from vgsearch.cli.choose_reranking import choose_on_val
    from vgsearch.config.rerank_search import load_rerank_search

    document = load_rerank_search(file, overrides or [])
    choose_on_val(
        document, Console(), score_tests=score_tests, home=home.resolve(), data_root=data_root.resolve()
    )
