"""Which failures of a real MLflow client mean "not now" and which mean "no"."""

from __future__ import annotations

import os
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from vgsearch.errors import RegistryError, RegistryUnreachableError
from vgsearch.registry.mlflow_import import LIBRARIES
from vgsearch.registry.mlflow_registry import MlflowRegistry
from vgsearch.registry.unreachable import is_unreachable


@contextmanager
def answering(status: int, body: bytes = b"{}", delay_s: float = 0.0) -> Iterator[str]:
    """A server that answers everything so, once a client has opened the store on it."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            opening = self.path.endswith("/experiments/search")
            if not opening:
                time.sleep(delay_s)
            self.send_response(200 if opening else status)
            content = b"{}" if opening else body
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with suppress(ConnectionError):  # the client has not waited
                self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = False  # so that leaving the block waits for them
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "body", "not_now"),
    [
        (500, b'{"error_code": "INTERNAL_ERROR", "message": "oops"}', True),
        (502, b"<html>Bad gateway</html>", True),
        (503, b'{"error_code": "TEMPORARILY_UNAVAILABLE", "message": "database is locked"}', True),
        (504, b"", True),
        (521, b"<html>Web server is down</html>", True),
        (429, b"slow down", True),
        (400, b'{"error_code": "INVALID_PARAMETER_VALUE", "message": "a metric of error code 500"}', False),
        (401, b"who are you", False),
        (403, b"<html>no</html>", False),
        (404, b'{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "gone"}', False),
        (409, b'{"error_code": "RESOURCE_CONFLICT", "message": "conflict"}', False),
    ],
)
def test_answers_of_a_server(tmp_path: Path, status: int, body: bytes, not_now: bool) -> None:
    with answering(status, body) as address:
        registry = MlflowRegistry(tmp_path, address, patient=False)
        start = time.monotonic()
        with pytest.raises(RegistryError) as caught:
            registry.finish_trial("deadbeef", "complete")
        assert time.monotonic() - start < 2
        assert isinstance(caught.value, RegistryUnreachableError) is not_now
        assert "\n" not in str(caught.value)
        with pytest.raises(RegistryError) as caught:
            registry.log_files("deadbeef", "scores", {"a": b"a"})
        assert isinstance(caught.value, RegistryUnreachableError) is not_now


def test_a_late_answer_is_a_time_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(200, delay_s=1.5) as address:
        registry = MlflowRegistry(tmp_path, address, patient=False)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
        with pytest.raises(RegistryUnreachableError, match="timed out"):
            registry.finish_trial("deadbeef", "complete")
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "1"


def test_no_server_at_all(tmp_path: Path) -> None:
    with answering(200) as address:
        registry = MlflowRegistry(tmp_path, address, patient=False)
    start = time.monotonic()
    with pytest.raises(RegistryUnreachableError):
        registry.finish_trial("deadbeef", "complete")
    with pytest.raises(RegistryUnreachableError, match="cannot open the MLflow store"):
        MlflowRegistry(tmp_path, address)
    assert time.monotonic() - start < 3
    assert not [name for name in os.environ if name.startswith("MLFLOW_HTTP_REQUEST")]


def test_a_connection_that_breaks_under_way(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, answering(200) as address:
        registry = MlflowRegistry(tmp_path, address, patient=False)
        registry._store.client = type(registry._store.client)(f"http://127.0.0.1:{listener.getsockname()[1]}")

        def hang_up() -> None:
            listener.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(RegistryUnreachableError):
            registry.finish_trial("deadbeef", "complete")
        thread.join()


@pytest.mark.slow
def test_a_locked_database(mlflow_registry: MlflowRegistry, home: Path) -> None:
    mlflow_registry.open_search("grl", params={}, config_text="")
    with closing(sqlite3.connect(home / "mlflow.db", isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(RegistryUnreachableError, match="database is locked"):
            mlflow_registry.open_trial("grl", "t0", label="t0", params={}, spec_text="")
        connection.execute("ROLLBACK")
    mlflow_registry.open_trial("grl", "t0", label="t0", params={}, spec_text="")


def test_kinds_of_sqlite_errors(tmp_path: Path) -> None:
    import sqlalchemy
    from mlflow.exceptions import MlflowException

    def wrapped(path: Path, statement: str) -> MlflowException:
        engine = sqlalchemy.create_engine(f"sqlite:///{path}", connect_args={"timeout": 0})
        try:
            with engine.connect() as connection:
                connection.execute(sqlalchemy.text(statement))
        except sqlalchemy.exc.SQLAlchemyError as error:
            found = MlflowException("wrapped")
            found.__cause__ = error
            return found
        raise AssertionError

    assert not is_unreachable(wrapped(tmp_path / "a.db", "SELECT * FROM missing"), LIBRARIES)
    assert is_unreachable(wrapped(tmp_path / "no" / "folder.db", "SELECT 1"), LIBRARIES)
    with closing(sqlite3.connect(tmp_path / "b.db", isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        assert is_unreachable(wrapped(tmp_path / "b.db", "CREATE TABLE a (b)"), LIBRARIES)


def test_what_was_under_way_is_not_the_cause() -> None:
    from mlflow.exceptions import MlflowException

    def clean_up_after_an_outage() -> None:
        try:
            raise RegistryUnreachableError("connection refused")
        except RegistryUnreachableError:
            raise MlflowException("the name is taken")  # noqa: B904

    with pytest.raises(MlflowException) as caught:
        clean_up_after_an_outage()
    assert isinstance(caught.value.__context__, RegistryUnreachableError)
    assert not is_unreachable(caught.value, LIBRARIES)
