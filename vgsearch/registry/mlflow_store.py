"""An open MLflow store: the client, one call at a time, errors in our words."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from vgsearch.errors import RegistryError
from vgsearch.registry.mlflow_import import (
    OPENING_TIMEOUT_S,
    REQUEST_TIMEOUT_S,
    impatient_requests,
    load_mlflow,
    mlflow_errors,
)
from vgsearch.registry.store_lock import prepare_sqlite
from vgsearch.registry.store_uri import ARTIFACTS_FOLDER, is_server, redacted, sqlite_path, store_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient


class MlflowStore:
    """The MLflow store that belongs to a home folder, or the one that the user names instead.

    Attributes:
        uri: Where it is.
        client: The only way in; used inside `calls`.
        home: The home folder.
    """

    def __init__(self, home: Path, tracking_uri: str | None = None, *, patient: bool = True) -> None:
        """Open the store, creating a fresh sqlite one under a lock.

        Args:
            home: The folder that a search writes to.
            tracking_uri: See `vgsearch.registry.store_uri.store_uri`.
            patient: Whether a call to a server that does not answer is tried again for minutes.

        Raises:
            RegistryUnreachableError: It does not answer now; within seconds, patient or not.
            RegistryError: It cannot be created or read.
        """
        self.home = home.absolute()
        self._patient = patient
        self.uri = store_uri(self.home, tracking_uri)
        self._turn = threading.RLock()
        database = sqlite_path(self.uri)
        if database is not None:
            prepare_sqlite(database, _create_store)
        load_mlflow()
        opening = f"cannot open the MLflow store {redacted(self.uri)}"
        with mlflow_errors(opening), _silent_opening(), impatient_requests(OPENING_TIMEOUT_S):
            self.client = _new_client(self.uri)
            self.client.search_experiments(max_results=1)

    @property
    def is_server(self) -> bool:
        """Whether an MLflow server stands between this process and the database."""
        return is_server(self.uri)

    @contextmanager
    def calls(self, doing: str) -> Iterator[MlflowClient]:
        """Give the client to one thread; errors inside become one line that starts with `doing`.

        Raises:
            RegistryUnreachableError: The store does not answer now.
            RegistryError: The store refused.
            StorageError: A local file could not be written.
        """
        limits = nullcontext() if self._patient else impatient_requests(REQUEST_TIMEOUT_S)
        with self._turn, mlflow_errors(f"{doing} ({redacted(self.uri)})"), limits:
            yield self.client

    def artifact_location(self, folder: str) -> str | None:
        """Return where a new experiment keeps its artifacts; None leaves it to the server."""
        return None if self.is_server else (self.home / ARTIFACTS_FOLDER / folder).as_uri()

    def run_folder(self, search: str, run_id: str, artifact_uri: str) -> Path | None:
        """Return the folder of a run's artifacts if it is on this machine's disk, else None.

        A home folder that was moved keeps its old place in the store; the artifacts are then looked
        for where this home has them.
        """
        recorded = None if self.is_server else local_path(artifact_uri)
        if recorded is None:
            return None
        moved = self.home / ARTIFACTS_FOLDER / search / run_id / "artifacts"
        return recorded if recorded.is_dir() or not moved.is_dir() else moved


def pages(query: Callable[[str | None], Any]) -> list[Any]:
    """Collect every page of an MLflow query; `query` takes a page token."""
    found: list[Any] = []
    token: str | None = None
    while True:
        page = query(token)
        found.extend(page)
        token = page.token
        if not token:
            return found


def local_path(uri: str) -> Path | None:
    """Return the path of a `file:` URI, None for any other."""
    return Path(unquote(urlparse(uri).path)) if uri.startswith("file:") else None


def local_part(root: Path, relative: str) -> Path:
    """Return `root/relative`, which must not lead out of `root`, by `..` or by links.

    Raises:
        RegistryError: It does.
    """
    path = root / relative
    if not path.resolve().is_relative_to(root.resolve()):
        raise RegistryError(f"the artifact path {relative!r} leads out of {root}")
    return path


def _new_client(uri: str) -> MlflowClient:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _create_store(uri: str) -> None:
    load_mlflow()
    with mlflow_errors(f"cannot create the MLflow store {redacted(uri)}"), _silent_opening():
        _new_client(uri).search_experiments(max_results=1)


@contextmanager
def _silent_opening() -> Iterator[None]:
    """Keep libraries quiet about what a user cannot change or is told by an error anyway."""
    logger = logging.getLogger("urllib3.connectionpool")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        logger.setLevel(before)
