from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from filelock import FileLock

from vgsearch.errors import RegistryError
from vgsearch.registry.store_lock import prepare_sqlite


def make_tables(uri: str) -> None:
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as connection:
        for table in ("experiments", "runs", "alembic_version"):
            connection.execute(f"CREATE TABLE {table} (x)")


def fail(uri: str) -> None:
    raise AssertionError(f"must not be created again: {uri}")


def test_a_store_is_created_once_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "new home" / "mlflow.db"
    seen: list[str] = []

    def create(uri: str) -> None:
        seen.append(uri)
        assert not path.exists()
        make_tables(uri)

    prepare_sqlite(path, create)
    prepare_sqlite(path, fail)
    assert seen == [f"sqlite:///{path}.creating"]
    assert sorted(entry.name for entry in path.parent.iterdir()) in (
        ["mlflow.db"],
        ["mlflow.db", "mlflow.db.lock"],
    )


def test_a_creation_that_died_is_started_anew(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"

    def die(uri: str) -> None:
        Path(uri.removeprefix("sqlite:///")).write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_sqlite(path, die)
    assert not path.exists()
    prepare_sqlite(path, make_tables)
    prepare_sqlite(path, fail)


def test_an_empty_file_is_no_store_yet(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.touch()
    prepare_sqlite(path, make_tables)
    assert path.stat().st_size > 0


def test_who_waits_too_long_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    with (
        FileLock(f"{path}.lock"),
        pytest.raises(RegistryError, match=r"another process has been creating .* for 0.1 s"),
    ):
        prepare_sqlite(path, fail, timeout_s=0.1)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.write_text("not a database at all, but long enough to have a header\n" * 20)
    with pytest.raises(RegistryError, match="is not a readable MLflow store .file is not a database"):
        prepare_sqlite(path, fail)


def test_a_truncated_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    make_tables(f"sqlite:///{path}")
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(RegistryError, match="is not a readable MLflow store|without MLflow's tables"):
        prepare_sqlite(path, fail)


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE mine (x)")
    with pytest.raises(RegistryError, match="without MLflow's tables"):
        prepare_sqlite(path, fail)


def test_a_home_that_cannot_be_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RegistryError, match=r"Not a directory; choose another --home"):
        prepare_sqlite(tmp_path / "file" / "home" / "mlflow.db", fail)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(RegistryError, match=r"Permission denied; choose another --home"):
        prepare_sqlite(tmp_path / "home" / "mlflow.db", fail)


def test_the_journal_of_a_killed_writer_is_rolled_back(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    make_tables(f"sqlite:///{path}")
    killed = """if True:
        import os, sqlite3, sys
        connection = sqlite3.connect(sys.argv[1], isolation_level=None)
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN")
        for number in range(2000):
            connection.execute("INSERT INTO runs VALUES (?)", ("x" * 500,))
        os._exit(9)
    """
    subprocess.run([sys.executable, "-c", killed, str(path)], check=False)
    assert path.with_name("mlflow.db-journal").exists()
    prepare_sqlite(path, fail)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (0,)


@pytest.mark.slow
def test_processes_that_start_together_share_one_store(tmp_path: Path) -> None:
    """Also: nothing is printed while a store is created."""
    code = """if True:
        import sys
        from pathlib import Path
        from vgsearch.registry.mlflow_registry import MlflowRegistry
        registry = MlflowRegistry(Path(sys.argv[1]))
        registry.open_search(sys.argv[2], params={}, config_text="")
    """
    command = [sys.executable, "-c", code, str(tmp_path / "home")]
    started = [
        subprocess.Popen([*command, f"s{number}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for number in range(4)
    ]
    outcomes = [(process.communicate()[0], process.returncode) for process in started]
    assert outcomes == [(b"", 0)] * 4
    with closing(sqlite3.connect(tmp_path / "home" / "mlflow.db")) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM experiments")}
    assert names == {"Default", *(f"vgsearch/s{number}" for number in range(4))}
