"""Trainings that Ctrl+C or SIGTERM ends in good order, with the command that goes on."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from vgsearch.search.interrupts import Interrupted, Interruption, winding_down


def typed(*more: str) -> str:
    """The command that was typed, so that it can be typed again, with words `more` unless they are there."""
    words = sys.argv[1:]
    return shlex.join(["vgsearch", *words, *(word for word in more if word not in words)])


@contextmanager
def stoppable(console: Console, go_on: Callable[[], str] = typed) -> Iterator[Callable[[], None]]:
    """Run a training that a signal may stop between two steps.

    Args:
        console: Where it is said.
        go_on: The command that goes on.

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
        with winding_down(interruption.request, last_words=last_words()):
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
