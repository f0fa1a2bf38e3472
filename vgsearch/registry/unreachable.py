"""Telling a store that does not answer now from one that refuses: the first is worth another try."""

from __future__ import annotations

import re
import sqlite3

# By name, so that asking imports none of them.
_NETWORK = {
    "requests.exceptions.ConnectionError",
    "requests.exceptions.Timeout",
    "requests.exceptions.RetryError",  # answers of 429 and 5xx to the last
    "requests.exceptions.ChunkedEncodingError",
    "urllib3.exceptions.HTTPError",
    "sqlalchemy.exc.TimeoutError",  # no connection became free
}
_DATABASE = "sqlalchemy.exc.OperationalError"
_SQLITE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
}
_SERVER_ERROR = re.compile(r"failed with error code 5\d\d\b")
_MOST_CAUSES = 5


def is_unreachable(error: BaseException, libraries: frozenset[str]) -> bool:
    """Whether `error` says that the store could not be asked, rather than that it said no.

    So are refused or broken connections, time-outs, answers of 429 and 5xx, and a database that is
    locked, cannot be opened or has lost its connection. A full disk, a missing table or a refused name
    are not: they do not pass by themselves.

    Args:
        error: What mlflow raised.
        libraries: Top-level modules whose errors are followed to their causes; any other error is where
            this call came from, not what went wrong in it.
    """
    cause: BaseException | None = error
    for _ in range(_MOST_CAUSES):
        if cause is None or _library(cause) not in libraries:
            return False
        if _says_so(cause):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _library(error: BaseException) -> str:
    return type(error).__module__.split(".")[0]


def _says_so(error: BaseException) -> bool:
    kinds = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}
    if kinds & _NETWORK:
        return True
    if isinstance(error, sqlite3.OperationalError):
        # An extended code keeps the plain one in its lowest byte.
        return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF in _SQLITE
    if _DATABASE in kinds:
        original = getattr(error, "orig", None)
        # Drivers of database servers raise this when they lose the server; sqlite for much else besides.
        return not isinstance(original, sqlite3.Error) or _says_so(original)
    response = getattr(error, "response", None)
    if getattr(response, "status_code", 0) >= 500:
        return True
    return _SERVER_ERROR.search(str(error)) is not None
