"""The one place that imports mlflow: late, quiet and without telemetry; and its errors in our words."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType

from vgsearch.errors import RegistryError, RegistryUnreachableError, StorageError
from vgsearch.registry.store_uri import redacted
from vgsearch.registry.unreachable import is_unreachable

# Read by mlflow when it is imported or called. What the user has set wins, but for telemetry.
QUIET_ENVIRONMENT = {
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
# mlflow lets errors of these through; those of requests are OSErrors, but no local file is to blame.
LIBRARIES = frozenset({"mlflow", "sqlalchemy", "sqlite3", "alembic", "requests", "urllib3"})
# Seconds. Longer than the 20 that a server may itself wait for its sqlite lock, so that no request is
# given up, and later repeated, while it is still being carried out.
REQUEST_TIMEOUT_S = 30
OPENING_TIMEOUT_S = 10
TRANSFER_TIMEOUT_S = 120
NO_TELEMETRY = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}

_ours: set[str] = set()


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
        RegistryUnreachableError: The store does not answer now.
        RegistryError: The store refused or is damaged.
        StorageError: A local file could not be written.
    """
    try:
        yield
    except Exception as error:
        origin = type(error).__module__.split(".")[0]
        if origin in LIBRARIES:
            kind = RegistryUnreachableError if is_unreachable(error, LIBRARIES) else RegistryError
            raise kind(f"{doing}: {one_line(error)}") from error
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
def impatient_requests(timeout_s: int) -> Iterator[None]:
    """Let mlflow's requests fail within seconds, at the first try, instead of after minutes.

    Not even one retry, because mlflow would also repeat a "create" whose answer is late, and have two.
    What the user has set in the environment stays.

    Args:
        timeout_s: To connect, and again to be answered.
    """
    wanted = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": str(timeout_s)}
    with _environment(wanted):
        yield


@contextmanager
def file_transfer() -> Iterator[None]:
    """Give an upload or download mlflow's own time-out, also among impatient requests.

    A server answers an upload only after it has passed the file on to its own storage.
    """
    with _environment({"MLFLOW_HTTP_REQUEST_TIMEOUT": str(TRANSFER_TIMEOUT_S)}):
        yield


@contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    """Set variables that the user has not set; what an outer block of ours has set is changed for a while."""
    before = {name: os.environ.get(name) for name in wanted if name not in os.environ or name in _ours}
    added = before.keys() - _ours
    os.environ.update({name: wanted[name] for name in before})
    _ours.update(added)
    try:
        yield
    finally:
        _ours.difference_update(added)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
