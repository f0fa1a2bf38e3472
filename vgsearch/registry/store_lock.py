"""Opening the store safely: created once, whole, under a lock file, however many processes start."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from filelock import FileLock, Timeout

from vgsearch.errors import RegistryError, RegistryUnreachableError
from vgsearch.registry.unreachable import is_unreachable

LOCK_TIMEOUT_S = 120.0


def prepare_sqlite(path: Path, create: Callable[[str], None], *, timeout_s: float = LOCK_TIMEOUT_S) -> None:
    """Make sure that `path` is a readable sqlite database, creating the MLflow store if it is new.

    MLflow's migration of a fresh database is neither safe against other processes nor against being
    killed, and what is left half-migrated is beyond repair. So the store is created under a temporary
    name, behind a lock, and renamed when it is whole.

    Args:
        path: The database file.
        create: Called with the sqlite URI of a file that does not exist yet; must leave a whole store.
        timeout_s: How long to wait for another process that is creating the store.

    Raises:
        RegistryUnreachableError: Another process has locked the database for long.
        RegistryError: The folder cannot be written, the file is no database, or the lock is held.
    """
    if not _is_new(path):
        _check_database(path)
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(path.name + ".lock"), timeout=timeout_s):
            if _is_new(path):
                fresh = path.with_name(path.name + ".creating")
                fresh.unlink(missing_ok=True)
                fresh.with_name(fresh.name + "-journal").unlink(missing_ok=True)
                create(f"sqlite:///{fresh}")
                os.replace(fresh, path)
    except Timeout as error:
        raise RegistryError(
            f"another process has been creating the MLflow store {path} for {timeout_s:g} s; "
            "wait for it, or end it"
        ) from error
    except OSError as error:
        raise RegistryError(
            f"cannot create the MLflow store {path}: {error.strerror or error}; choose another --home"
        ) from error
    _check_database(path)


def _is_new(path: Path) -> bool:
    """Whether there is no database yet; sqlite also takes an empty file for one."""
    try:
        return path.stat().st_size == 0
    except FileNotFoundError:
        return True
    except OSError as error:
        raise RegistryError(
            f"cannot open the MLflow store {path}: {error.strerror or error}; choose another --home"
        ) from error


def _check_database(path: Path) -> None:
    """Refuse at once what mlflow would try ten times, over minutes, to open."""
    try:
        # Read-write, so that the journal of a killed process is rolled back instead of refused.
        with closing(sqlite3.connect(path.as_uri() + "?mode=rw", uri=True, timeout=20.0)) as connection:
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    except sqlite3.Error as error:
        kind = RegistryUnreachableError if is_unreachable(error, frozenset({"sqlite3"})) else RegistryError
        raise kind(
            f"{path} is not a readable MLflow store ({error}); move it away or choose another --home"
        ) from error
    if not {"experiments", "runs", "alembic_version"} <= tables:
        raise RegistryError(
            f"{path} is a database without MLflow's tables (a creation that was cut short, or another "
            "program's); move it away or choose another --home"
        )
