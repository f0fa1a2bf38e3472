from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vgsearch.errors import RegistryError
from vgsearch.registry.mlflow_store import MlflowStore


def test_a_server_that_does_not_answer_is_said_at_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    environment = dict(os.environ)
    start = time.monotonic()
    with pytest.raises(
        RegistryError, match=f"cannot open the MLflow store http://me:.*127.0.0.1:{port}"
    ) as caught:
        MlflowStore(tmp_path, f"http://me:secret@127.0.0.1:{port}")
    assert time.monotonic() - start < 5
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ.keys() - environment.keys()
    assert logging.getLogger("urllib3.connectionpool").level == logging.NOTSET


def test_a_store_of_another_mlflow_is_explained(home: Path) -> None:
    import sqlite3

    with sqlite3.connect(home / "mlflow.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0000'")
    with pytest.raises(RegistryError, match="out-of-date database schema") as caught:
        MlflowStore(home)
    assert "\n" not in str(caught.value)


def test_importing_the_room_imports_no_mlflow() -> None:
    code = """if True:
        import sys
        import vgsearch.registry.protocol
        import vgsearch.registry.memory_registry
        import vgsearch.registry.mlflow_registry
        import vgsearch.registry.ui
        heavy = {"mlflow", "torch", "numpy", "pandas", "sqlalchemy"} & set(sys.modules)
        sys.exit(f"imported {heavy}" if heavy else 0)
    """
    subprocess.run([sys.executable, "-c", code], check=True)
