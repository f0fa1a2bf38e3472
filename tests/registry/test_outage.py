"""A real MLflow server that is stopped and started again under a search."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vgsearch.errors import RegistryUnreachableError
from vgsearch.registry.mlflow_registry import MlflowRegistry
from vgsearch.registry.mlflow_spool import SPOOL_FOLDER, open_spooled
from vgsearch.registry.ui import server_command, server_environment, stop_group

pytestmark = pytest.mark.slow


class Server:
    """An MLflow server over the store of a home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.address = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            server_command(self.home, "127.0.0.1", self.port),
            env=server_environment(f"sqlite:///{self.home}/mlflow.db"),
            cwd=self.home,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        deadline = time.monotonic() + 100
        while time.monotonic() < deadline:
            try:
                opener.open(f"{self.address}/health", timeout=2).close()
                return
            except OSError:
                time.sleep(0.1)
        raise AssertionError("the server did not start")

    def stop(self) -> None:
        if self.process is not None:
            stop_group(self.process)
            self.process = None


@pytest.fixture
def server(home: Path) -> Iterator[Server]:
    server = Server(home)
    yield server
    server.stop()


def test_a_search_outlives_its_server(
    server: Server, tmp_path: Path, make_checkpoint: Callable[..., Path]
) -> None:
    home = tmp_path / "driver"
    with pytest.raises(RegistryUnreachableError, match="connection|Connection"):
        open_spooled(home, server.address).open_search("grl", params={}, config_text="")

    server.start()
    said: list[str] = []
    registry = open_spooled(home, server.address)
    registry.say = said.append
    parent = registry.open_search("grl", params={"lr": 1e-5}, config_text="name: grl\n")
    first = registry.open_trial("grl", "t0", label="trial 0", params={}, spec_text="uid: t0\n")
    registry.log_epoch(first, 1, {"val/recall_at_1": 40.0})

    server.stop()
    start = time.monotonic()
    registry.log_epoch(first, 2, {"val/recall_at_1": 50.0})
    registry.record_checkpoint(first, make_checkpoint("t0", 2), search="grl", uid="t0", epoch=2)
    registry.finish_trial(first, "complete", tags={"best": "2"})
    registry.crown("grl", "t0")
    second = registry.open_trial("grl", "t1", label="trial 1", params={}, spec_text="uid: t1\n")
    registry.log_epoch(second, 1, {"val/recall_at_1": 45.0})
    assert registry.flush() == 6
    assert time.monotonic() - start < 5
    with pytest.raises(RegistryUnreachableError):
        registry.trials("grl")

    # The driver is killed, and resumed while the server is still away.
    resumed = open_spooled(home, server.address)
    assert resumed.open_search("grl", params={"lr": 1e-5}, config_text="name: grl\n") == parent
    assert resumed.open_trial("grl", "t1", label="x", params={}, spec_text="uid: t1\n") == second
    resumed.log_epoch(second, 1, {"val/recall_at_1": 45.0})
    resumed.log_epoch(second, 2, {"val/recall_at_1": 46.0})
    resumed.log_scores(first, {"test/x/recall_at_1": 30.0}, {"test__x.npz": b"per query"})

    server.start()
    resumed.finish_trial(second, "stopped", reason="asha")
    resumed.finish_search(parent, "complete")
    assert resumed.flush() == 0

    # Read over another path: the database itself.
    plain = MlflowRegistry(server.home, f"sqlite:///{server.home}/mlflow.db")
    (search,) = plain.searches()
    assert search.state == "complete"
    t0, t1 = plain.trials("grl")
    assert (t0.uid, t0.state, t0.tags["best"]) == ("t0", "complete", "2")
    assert t0.history == {
        0: {"test/x/recall_at_1": 30.0},
        1: {"val/recall_at_1": 40.0},
        2: {"val/recall_at_1": 50.0},
    }
    assert (t1.uid, t1.state, t1.reason, t1.label) == ("t1", "stopped", "asha", "trial 1")
    assert t1.history == {1: {"val/recall_at_1": 45.0}, 2: {"val/recall_at_1": 46.0}}
    champion = plain.champion("grl")
    assert (champion.uid, champion.epoch, champion.version) == ("t0", 2, "1")
    assert (resumed.download(champion.reference) / "model.safetensors").read_bytes() == b"weights"
    assert (home / SPOOL_FOLDER / "grl.jsonl").read_text().count("\n") == 1
    assert len(said) == 1
    assert "does not answer" in said[0]


def test_a_server_that_hangs_costs_seconds(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.start()
    registry = open_spooled(tmp_path / "driver", server.address)
    registry.open_search("grl", params={}, config_text="")
    trial = registry.open_trial("grl", "t0", label="t0", params={}, spec_text="")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")  # ours is 30 s, which is long for a test
    assert server.process is not None
    os.killpg(server.process.pid, signal.SIGSTOP)
    start = time.monotonic()
    for epoch in range(1, 6):
        registry.log_epoch(trial, epoch, {"a": float(epoch)})
    assert time.monotonic() - start < 4
    os.killpg(server.process.pid, signal.SIGCONT)
    deadline = time.monotonic() + 30
    while registry.flush():
        assert time.monotonic() < deadline
    (record,) = registry.trials("grl")
    assert record.history == {epoch: {"a": float(epoch)} for epoch in range(1, 6)}


def test_a_python_that_only_opens_the_spool_imports_no_mlflow() -> None:
    code = "import sys, vgsearch.registry.mlflow_spool; sys.exit('mlflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
