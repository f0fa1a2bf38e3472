"""SIGINT and SIGTERM wind a search down; a second one, or a wind-down that hangs, ends it at once.

Nothing is lost either way: the study and the checkpoints are on disk after every epoch.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# A signal to the whole process group (systemd, Slurm, `timeout`) kills Ray's own processes as well, and the
# driver would then wait a minute for them. Kubernetes and Slurm kill after 30 s.
WIND_DOWN_S = 20.0


class Interrupted(Exception):
    """The search or training was asked to stop; not an error."""


class Interruption:
    """Whether a signal has asked the search to stop, or whatever else trains."""

    def __init__(
        self,
        say: Callable[[str], None],
        notice: str = "stopping: each trial keeps the epochs that it has finished",
    ) -> None:
        """Start unasked; `say` is told `notice` when it happens."""
        self.requested = False
        self._say = say
        self._notice = notice

    def request(self) -> None:
        """Ask the search to stop."""
        self.requested = True
        self._say(self._notice)

    def check(self) -> None:
        """Raise `Interrupted` once it was requested."""
        if self.requested:
            raise Interrupted


@contextmanager
def winding_down(on_signal: Callable[[], None], *, last_words: Callable[[], str] = str) -> Iterator[None]:
    """Call `on_signal` at the first SIGINT or SIGTERM inside the block.

    SIGTERM is what Slurm, Kubernetes and systemd send before they kill. If the process still runs
    `WIND_DOWN_S` later it prints what `last_words` then gives and exits with 128 + the signal's number.
    Handlers can be set in the main thread only; elsewhere this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in signals}
    watchdogs: list[threading.Timer] = []

    def handle(number: int, frame: FrameType | None) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_DFL if each == signal.SIGTERM else signal.default_int_handler)
        watchdog = threading.Timer(WIND_DOWN_S, _leave, (last_words, 128 + number))
        watchdog.daemon = True
        watchdog.start()
        watchdogs.append(watchdog)
        on_signal()

    for number in signals:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for watchdog in watchdogs:
            watchdog.cancel()
        for number in signals:
            signal.signal(number, before[number])


def _leave(last_words: Callable[[], str], code: int) -> None:
    if words := last_words():
        print(words, file=sys.stderr, flush=True)
    os._exit(code)
