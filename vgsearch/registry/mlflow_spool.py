"""MLflow behind a spool: what `vgsearch tune` records through."""

from __future__ import annotations

from pathlib import Path

from vgsearch.registry.mlflow_registry import MlflowRegistry
from vgsearch.registry.spool import SpooledRegistry
from vgsearch.registry.store_uri import STORE_FILE, redacted, sqlite_path, store_uri

SPOOL_FOLDER = "spool"


def open_spooled(home: Path, tracking_uri: str | None = None) -> SpooledRegistry:
    """Open the MLflow store of `home`, or the one that is named instead, with journals in `<home>/spool`.

    A store that does not answer now is no error yet: only a search that was never opened in it needs it.

    Raises:
        RegistryError: It cannot be created or read.
    """
    home = home.absolute()
    uri = store_uri(home, tracking_uri)
    # A home that is moved keeps its own store.
    store = STORE_FILE if sqlite_path(uri) == home / STORE_FILE else redacted(uri)
    return SpooledRegistry(
        lambda: MlflowRegistry(home, tracking_uri, patient=False), home / SPOOL_FOLDER, store=store
    )
