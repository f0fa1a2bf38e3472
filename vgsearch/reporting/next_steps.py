"""The commands that are worth typing after a search."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class NextStep:
    """A command, and what it is for."""

    command: str
    purpose: str


_LONG = 100


def next_steps(
    search: str,
    space_file: Path | str,
    *,
    test_splits: Sequence[str] = (),
    has_champion: bool = True,
    home: Path | str | None = None,
    data_root: Path | str | None = None,
    overrides: Sequence[str] = (),
) -> list[NextStep]:
    """List what to type, in the order in which one would.

    Args:
        search: its name.
        space_file: the YAML it was started with, as the user wrote it.
        test_splits: names of the test sets.
        has_champion: whether any trial finished an epoch.
        home: where the search lies; None where that is the default, which needs no option.
        data_root: where the data lie; None where that is the default.
        overrides: what `--set` changed in the file: a search is resumed with the same.
    """
    at_home = [] if home is None else ["--home", str(home)]
    with_data = [] if data_root is None else ["--data-root", str(data_root)]
    champion = f"models:/vgsearch-{search}@champion"
    steps = [_step("compare curves, parameters and checkpoints in MLflow", "ui", *at_home)]
    if has_champion:
        split = test_splits[0] if test_splits else "val"
        steps += [
            _step("the champion's path, and how to load it", "best", search, *at_home),
            _step("score it on a split", "evaluate", champion, "--on", split, *at_home, *with_data),
        ]
    sets = [part for override in overrides for part in ("--set", override)]
    resume = ("tune", str(space_file), "--resume", *sets, *at_home, *with_data)
    return [*steps, _step("go on with the search", *resume)]


def render_next_steps(steps: Sequence[NextStep]) -> str:
    """Commands in one column, what they are for behind them."""
    # One long command must not push what the others are for off the screen.
    width = max((len(step.command) for step in steps if len(step.command) <= _LONG), default=0)
    return "\n".join(f"  {step.command:<{width}}  # {step.purpose}" for step in steps)


def _step(purpose: str, *arguments: str) -> NextStep:
    return NextStep(shlex.join(["vgsearch", *arguments]), purpose)
