"""Where the MLflow store is: a sqlite file under the home folder unless something else is asked for."""

from __future__ import annotations

import os
import re
from pathlib import Path

from vgsearch.errors import RegistryError

STORE_FILE = "mlflow.db"
ARTIFACTS_FOLDER = "artifacts"
_SQL_SERVER = re.compile(r"(postgresql|mysql|mssql)(\+[a-z0-9_]+)?://")
_SQLITE = re.compile(r"sqlite(\+[a-z0-9_]+)?:///(?P<path>(?!:memory:)[^?]+)")


def store_uri(home: Path, tracking_uri: str | None = None) -> str:
    """Return the URI of the store that belongs to `home`.

    Args:
        home: The folder that a search writes to.
        tracking_uri: Overrides everything; None takes `MLFLOW_TRACKING_URI`, and without that
            `sqlite:///<home>/mlflow.db`. Relative sqlite paths become absolute.

    Raises:
        RegistryError: Neither an SQL database nor an http(s) server is named, or the path cannot
            stand in an SQL URI.
    """
    given = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or ""
    if not given:
        path = (home / STORE_FILE).absolute()
        if "?" in str(path):
            raise RegistryError(f"the home folder may not contain '?', which ends a path in a URI: {path}")
        return f"sqlite:///{path}"
    if match := _SQLITE.fullmatch(given):
        path_text = match["path"]
        return given[: match.start("path")] + str(Path(path_text).absolute())
    if _SQL_SERVER.match(given) or is_server(given):
        return given
    raise RegistryError(
        "the tracking URI must be sqlite:///FILE, another SQL database or an http(s) server "
        f"(MLflow itself refuses plain folders), but got {redacted(given)!r}"
    )


def is_server(uri: str) -> bool:
    """Whether `uri` is an MLflow server rather than a database that this process opens itself."""
    return uri.startswith(("http://", "https://"))


def sqlite_path(uri: str) -> Path | None:
    """Return the database file of a sqlite URI, None for any other."""
    match = _SQLITE.fullmatch(uri)
    return Path(match["path"]) if match else None


def redacted(text: str) -> str:
    """Hide the password of any `scheme://user:password@host` in `text`."""
    return re.sub(r"(://[^/\s:@]*):[^/\s@]+@", r"\1:***@", text)
