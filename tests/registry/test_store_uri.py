from __future__ import annotations

from pathlib import Path

import pytest

from vgsearch.errors import RegistryError
from vgsearch.registry.store_uri import is_server, redacted, sqlite_path, store_uri


def test_the_store_lies_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.chdir(tmp_path)
    assert store_uri(Path("runs")) == f"sqlite:///{tmp_path}/runs/mlflow.db"
    assert sqlite_path(store_uri(Path("runs"))) == tmp_path / "runs" / "mlflow.db"


def test_the_argument_wins_over_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host:5000")
    assert store_uri(tmp_path) == "http://host:5000"
    assert is_server(store_uri(tmp_path))
    assert store_uri(tmp_path, "postgresql+psycopg2://u:p@h/db") == "postgresql+psycopg2://u:p@h/db"
    monkeypatch.chdir(tmp_path)
    assert store_uri(tmp_path, "sqlite:///a/b.db") == f"sqlite:///{tmp_path}/a/b.db"
    assert sqlite_path("http://host:5000") is None


@pytest.mark.parametrize(
    "uri",
    ["./mlruns", "file:///tmp/mlruns", "databricks", "sqlite://", "sqlite:///:memory:", "ftp://u:secret@h/x"],
)
def test_other_stores_are_refused(tmp_path: Path, uri: str) -> None:
    with pytest.raises(RegistryError, match="must be sqlite:///FILE") as caught:
        store_uri(tmp_path, uri)
    assert "secret" not in str(caught.value)


def test_a_question_mark_cannot_stand_in_the_uri(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"may not contain '\?'"):
        store_uri(tmp_path / "what?")


def test_passwords_are_hidden() -> None:
    text = "cannot reach https://me:s3cr%40t@host:5000/x and postgresql://a:b@c/d, http://host:80/y@z"
    expected = "cannot reach https://me:***@host:5000/x and postgresql://a:***@c/d, http://host:80/y@z"
    assert redacted(text) == expected
