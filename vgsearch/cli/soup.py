"""`vgsearch soup`: average the weights of recorded checkpoints, chosen on val."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from vgsearch.cli.options import DEFAULT_HOME, AllowTestSelection, Home, Overrides

Method = Literal["greedy", "uniform", "interpolate", "model_stock", "greedy_weighted"]


def soup(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", help="A soup file, e.g. ensembles/greedy_soup.yaml; none takes the defaults."
        ),
    ] = None,
    search: Annotated[
        list[str] | None,
        typer.Option(
            "--search",
            metavar="NAME",
            help="Take this search's checkpoints; default the latest's. May be repeated.",
        ),
    ] = None,
    architecture_of: Annotated[
        str | None,
        typer.Option(
            "--architecture-of",
            metavar="VERSION",
            help="Whose architecture the soup has, e.g. models:/vgsearch-grl/3; default the champion's.",
        ),
    ] = None,
    top_k: Annotated[
        int | None, typer.Option("--top-k", min=1, help="Consider the k best; default all.")
    ] = None,
    criterion: Annotated[
        str | None,
        typer.Option(metavar="RECALL", help="E.g. val/night/recall_at_5; default the search's objective."),
    ] = None,
    method: Annotated[Method | None, typer.Option(help="How to mix; default greedy.")] = None,
    anchor: Annotated[
        str | None,
        typer.Option(metavar="CHECKPOINT", help="model_stock: what all ingredients started from."),
    ] = None,
    recalibrate_bn: Annotated[
        Literal["auto", "on", "off"] | None,
        typer.Option(
            "--recalibrate-bn",
            help="Take BatchNorm statistics again over training images; auto keeps what val prefers.",
        ),
    ] = None,
    early_drop: Annotated[
        bool | None,
        typer.Option(
            "--early-drop/--no-early-drop",
            help="Give a soup up once it cannot reach the best one any more. This changes no result.",
        ),
    ] = None,
    score_tests: Annotated[
        bool,
        typer.Option("--score-tests", help="Also score the tests; the registry counts every such scoring."),
    ] = False,
    diagnose: Annotated[
        bool,
        typer.Option(
            "--diagnose", help="Make no soup: show what lies between pairs, and why some mix badly."
        ),
    ] = False,
    diagnose_top: Annotated[
        int, typer.Option("--diagnose-top", metavar="K", min=1, help="Pair the best with the K after it.")
    ] = 3,
    diagnose_all_pairs: Annotated[
        bool, typer.Option("--diagnose-all-pairs", help="Pair these among each other, too.")
    ] = False,
    diagnose_points: Annotated[
        int,
        typer.Option("--diagnose-points", metavar="N", min=3, max=9, help="Points of a line, with its ends."),
    ] = 5,
    alias: Annotated[
        str | None, typer.Option("--alias", metavar="NAME", help="Alias of the version; default soup.")
    ] = None,
    allow_test_selection: AllowTestSelection = False,
    overrides: Overrides = None,
    home: Home = DEFAULT_HOME,
) -> None:
    """Average the weights of checkpoints of one architecture, and record the soup as a version.

    The pot is every checkpoint of the latest search that shares its champion's architecture. What is taken is
    decided on val alone. The same command again finds the same version.
    """
    from vgsearch.cli.make_soup import Diagnosis, run_soup
    from vgsearch.config.soup import load_soup
    from vgsearch.ensembling.criterion import Criterion
    from vgsearch.errors import ConfigError

    def problem_of(text: str) -> str | None:
        try:
            Criterion.parse(text)
        except ConfigError as error:
            return error.problems[0]
        return None

    flags = {
        "searches": search or None,
        "architecture_of": architecture_of,
        "top_k": top_k,
        "criterion": criterion,
        "method": method,
        "anchor": anchor,
        "recalibrate_bn": recalibrate_bn,
        "early_drop": early_drop,
        "alias": alias,
    }
    # JSON is YAML, and quotes what YAML would read otherwise.
    given = [f"{key}={json.dumps(value)}" for key, value in flags.items() if value is not None]
    if criterion is not None and file is not None:
        given.insert(0, "criteria=[]")  # a file of several soups becomes one of a single one
    document = load_soup(file, [*given, *(overrides or ())], check_criterion=problem_of)
    run_soup(
        document,
        home.resolve(),
        Console(),
        diagnosis=Diagnosis(diagnose_top, diagnose_all_pairs, diagnose_points) if diagnose else None,
        score_tests=score_tests,
        allow_test_selection=allow_test_selection,
    )
