"""What processes that train a network together tell each other, and the one way in which that fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from vgsearch.errors import first_line


class ExchangeError(RuntimeError):
    """Another process did not take part in an exchange: it died, failed or hangs."""


@contextmanager
def exchanging(what: str) -> Iterator[None]:
    """Name what is exchanged inside; whatever a backend raises there becomes an `ExchangeError`."""
    try:
        yield
    except RuntimeError as error:
        raise ExchangeError(
            f"{what} could not be exchanged between processes: {first_line(error)}"
        ) from error
