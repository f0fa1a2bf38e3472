"""Trainings that Ctrl+C or SIGTERM ends in good order, with the command that goes on."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console

from vgsearch.cli.options import DEFAULT_DATA_ROOT
from vgsearch.cli.present import unless_default
from vgsearch.search.interrupts import Interrupted, Interruption, winding_down


def typed(*more: str, home: Path, data_root: Path = DEFAULT_DATA_ROOT) -> str:
    """The command that was typed, so that it can be typed again, in another shell as well.

    Args:
        more: Words to add unless they are there.
        home: Named if it is not the default, as where the environment says it.
        data_root: Likewise.
    """
    words = sys.argv[1:]
    added = [word for word in more if word not in words]
    shown_home, shown_root = unless_default(home, data_root)
    for option, folder in (("--home", shown_home), ("--data-root", shown_root)):
        if folder is not None and not any(word.split("=")[0] == option for word in words):
            added += [option, str(folder)]
    # What follows a bare -- is no option.
    end = words.index("--") if "--" in words else len(words)
    return shlex.join(["vgsearch", *words[:end], *added, *words[end:]])


@contextmanager
def stoppable(console: Console, go_on: Callable[[], str]) -> Iterator[Callable[[], None]]:
    """Run a training that a signal may stop between two steps.

    Args:
        console: Where it is said.
        go_on: Asked for the command that goes on.

    Yields:
        To be called between steps: once SIGINT or SIGTERM came it raises `Interrupted`, which ends the block
        and the process, with `go_on` as its last words and exit code 130.
    """

    def last_words() -> str:
        return f"the training was interrupted; its finished epochs are kept. Go on with:\n  {go_on()}"

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    interruption = Interruption(say, "stopping: finished epochs are kept")
    try:
        with winding_down(interruption.request, last_words=last_words):
            yield interruption.check
    except Interrupted:
        say(last_words())
        raise typer.Exit(130) from None


def checked(advance: Callable[[int], None], check: Callable[[], None]) -> Callable[[int], None]:
    """A progress bar that also looks whether to stop."""

    def advance_and_check(done: int) -> None:
        advance(done)
        check()

    return advance_and_check
