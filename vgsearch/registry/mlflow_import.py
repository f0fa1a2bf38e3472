"""The one place that imports mlflow: late, quiet and without telemetry; and its errors in our words."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from vgsearch.errors import RegistryError, StorageError
from vgsearch.registry.store_uri import redacted

# Read by mlflow when it is imported or called. What the user has set wins, but for telemetry.
QUIET_ENVIRONMENT = {
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
# mlflow lets errors of these through; those of requests are OSErrors, but no local file is to blame.
LIBRARIES = {"mlflow", "sqlalchemy", "sqlite3", "alembic", "requests", "urllib3"}
NO_TELEMETRY = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


def load_mlflow() -> ModuleType:
    """Import mlflow (seconds, the first time) with telemetry off and its store's logging silent.

    What the store logs also reaches us as exceptions, which are raised in one line.
    """
    os.environ.update(NO_TELEMETRY)
    for name, value in QUIET_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import mlflow

    logging.getLogger("mlflow.store").setLevel(logging.CRITICAL)
    return mlflow


@contextmanager
def mlflow_errors(doing: str) -> Iterator[None]:
    """Raise whatever mlflow raises inside as one line that starts with `doing`.

    Raises:
        RegistryError: The store refused, is damaged or cannot be reached.
        StorageError: A local file could not be written.
    """
    try:
        yield
    except Exception as error:
        origin = type(error).__module__.split(".")[0]
        if origin in LIBRARIES:
            raise RegistryError(f"{doing}: {one_line(error)}") from error
        if isinstance(error, OSError):
            raise StorageError(f"{doing}: {one_line(error)}") from error
        # A mistake of our own keeps its traceback.
        raise


def one_line(error: BaseException) -> str:
    """Return the first line of an error's text, without passwords, cut at 300 characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # sqlalchemy puts a remark on its own session before what the database said.
    lines = [line for line in lines if not line.startswith("(raised as a result of")] or lines
    return redacted(lines[0])[:300] if lines else type(error).__name__


@contextmanager
def impatient_requests() -> Iterator[None]:
    """Let mlflow's requests fail within seconds, to learn at once that a server cannot be reached.

    Later requests keep mlflow's patience (minutes of retries), so a server that restarts during a
    search does not end it. What the user has set in the environment stays.
    """
    wanted = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
    changed = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name in changed:
            os.environ.pop(name, None)
