"""`vgsearch status`: how a search stands, from another shell or afterwards."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from vgsearch.cli.options import DEFAULT_HOME, Home


def status(
    search: Annotated[str, typer.Argument(metavar="SEARCH", help="Name of a search, e.g. demo.")],
    home: Home = DEFAULT_HOME,
) -> None:
    """Show how a search stands: trials, best first, what was spent, and whether a driver is at work.

    It only reads the search's journal, so it may be called at any time.
    """
    from vgsearch.cli.standing import shown_trial
    from vgsearch.reporting.status import render_status, render_steps, status_steps
    from vgsearch.search.status import read_status

    found = read_status(home, search)
    trials = [
        shown_trial(trial, is_cut_off=trial.state == "running" and not found.is_alive)
        for trial in found.trials
    ]
    console = Console()
    console.print(
        render_status(
            trials,
            search=search,
            objective=found.objective,
            is_alive=found.is_alive,
            num_trials=found.num_trials,
            is_over=found.is_over,
            cut_short_by=found.cut_short_by,
            wall_hours=found.wall_hours,
            gpu_hours=found.gpu_hours,
        )
    )
    steps = status_steps(
        trials,
        search=search,
        is_alive=found.is_alive,
        num_trials=found.num_trials,
        is_over=found.is_over,
        home=None if home == DEFAULT_HOME else home,
    )
    console.print("\nNext:")
    # Unwrapped, so that it can be copied from a narrow terminal.
    console.print(render_steps(steps, found.journal), markup=False, highlight=False, soft_wrap=True)
