from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from vgsearch.registry.memory_registry import MemoryRegistry
from vgsearch.registry.spool import SpooledRegistry

if TYPE_CHECKING:
    from vgsearch.registry.mlflow_registry import MlflowRegistry
    from vgsearch.registry.protocol import Registry


@pytest.fixture(autouse=True)
def _no_tracking_uri(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="session")
def fresh_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole, empty store, created once: it takes seconds. A creation was cut short there before."""
    from vgsearch.registry.mlflow_registry import MlflowRegistry

    home = tmp_path_factory.mktemp("store")
    (home / "mlflow.db").touch()
    (home / "mlflow.db.creating").write_bytes(b"half a database")
    MlflowRegistry(home, f"sqlite:///{home}/mlflow.db")
    assert not (home / "mlflow.db.creating").exists()
    return home / "mlflow.db"


@pytest.fixture
def home(tmp_path: Path, fresh_store: Path) -> Path:
    """A home folder with an empty store; its name needs quoting in a URI."""
    folder = tmp_path / "my runs #1 100%"
    folder.mkdir()
    shutil.copyfile(fresh_store, folder / "mlflow.db")
    return folder


@pytest.fixture
def mlflow_registry(home: Path) -> MlflowRegistry:
    from vgsearch.registry.mlflow_registry import MlflowRegistry

    return MlflowRegistry(home)


@pytest.fixture(params=["memory", "mlflow", "spooled memory", "spooled mlflow"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Registry:
    plain = MemoryRegistry() if "memory" in request.param else request.getfixturevalue("mlflow_registry")
    return SpooledRegistry(lambda: plain, tmp_path / "spool") if "spooled" in request.param else plain


@pytest.fixture
def make_checkpoint(tmp_path: Path) -> Callable[..., Path]:
    def make(uid: str, epoch: int, weights: bytes = b"weights") -> Path:
        folder = tmp_path / "trials" / uid / f"epoch_{epoch:04d}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.safetensors").write_bytes(weights)
        (folder / "trial.yaml").write_text(f"uid: {uid}\n")
        (folder / "metrics.json").write_text(f'{{"epoch": {epoch}}}')
        (folder / "val.npz").write_bytes(b"per query")
        (folder / "training_state.pt").write_bytes(b"never recorded")
        return folder

    return make
