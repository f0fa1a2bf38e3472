"""`vgsearch tune`: the search."""

from __future__ import annotations

import os
from typing import Annotated

import typer
from rich.console import Console

from vgsearch.cli.options import DEFAULT_DATA_ROOT, DEFAULT_HOME, DataRoot, Home, Overrides, SpaceFile


def tune(
    file: SpaceFile,
    overrides: Overrides = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue a search that was interrupted, or add trials to one.")
    ] = False,
    trials: Annotated[
        str | None,
        typer.Option(metavar="N|+N", help="Number of trials in all, or with --resume how many more (+20)."),
    ] = None,
    warm_start: Annotated[
        str | None,
        typer.Option(
            metavar="SEARCH", help="Let the sampler of a new search know the trials of an earlier one."
        ),
    ] = None,
    deterministic: Annotated[
        bool,
        typer.Option(
            "--deterministic", help="One trial at a time on repeatable kernels: same seed, same search."
        ),
    ] = False,
    address: Annotated[
        str | None,
        typer.Option(help="Join a running Ray cluster ('auto' finds the local one); else Ray starts here."),
    ] = None,
    home: Home = DEFAULT_HOME,
    data_root: DataRoot = DEFAULT_DATA_ROOT,
) -> None:
    """Search a space: Optuna proposes trials, Ray Tune runs them, MLflow records them.

    Ends with a leaderboard and a champion, chosen on val alone and scored once on the tests. Ctrl+C (or
    SIGTERM) stops it in good order; --resume goes on where it was, also after a kill or a power cut.
    """
    from vgsearch.cli.demo import build_city
    from vgsearch.cli.load import load_space
    from vgsearch.cli.preflight import check_data, fetch_weights
    from vgsearch.cli.present import print_outcome, unless_default, watching
    from vgsearch.registry.mlflow_spool import open_spooled
    from vgsearch.search.kept_weights import kept_weights
    from vgsearch.search.plan import with_planned_trials

    console = Console()
    shown_home, shown_root = unless_default(home, data_root)
    home = home.resolve()
    kept = kept_weights(home, load_space(file, overrides, data_root).name) if resume else {}
    document = load_space(file, overrides, data_root, home=home, kept=kept)
    trials_in_file = document.search.num_trials
    document = with_planned_trials(document, home, trials, resume=resume)
    if document.data.demo_city is not None:
        city = document.data.demo_city
        build_city(data_root / city.folder, city, console)
    data = document.resolved_data(data_root.resolve())
    for note in check_data(document, data):
        console.print(note, markup=False, highlight=False, soft_wrap=True)
    fetch_weights(document.example_trials(), console)
    registry = open_spooled(home, os.environ.get("MLFLOW_TRACKING_URI") or None)

    from vgsearch.search.driver import run_search

    with watching(document, console) as watcher:
        registry.say = watcher.say
        outcome = run_search(
            document,
            data,
            home,
            registry,
            resume=resume,
            deterministic=deterministic,
            warm_start=warm_start,
            trials_in_file=trials_in_file,
            address=address,
            watch=watcher.event,
            beat=watcher.beat,
            say=watcher.say,
        )
    print_outcome(outcome, document, console, file=file, home=shown_home, data_root=shown_root)
    if outcome.interrupted:
        raise typer.Exit(130)
