from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vgsearch.errors import RegistryError
from vgsearch.registry.mlflow_registry import MlflowRegistry
from vgsearch.registry.ui import serve_ui, server_command, server_environment

SERVE = """if True:
    import sys
    from pathlib import Path
    from vgsearch.registry.ui import serve_ui
    sys.exit(serve_ui(Path(sys.argv[1]), port=int(sys.argv[2]), ready=lambda url: print(url, flush=True)))
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fetch(url: str, body: object = None) -> bytes:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=20) as answer:
        return bytes(answer.read())


@pytest.fixture
def served(mlflow_registry: MlflowRegistry, home: Path) -> Iterator[str]:
    """The address of a server over `home`, which already holds one search; it must end on SIGTERM."""
    mlflow_registry.open_search("grl", params={"a": 1}, config_text="name: grl\n")
    command = [sys.executable, "-c", SERVE, str(home), str(free_port())]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(address.rsplit(":", 1)[1]))) != 0, "the server lives on"


@pytest.mark.slow
def test_the_ui_shows_the_store_and_takes_in_runs(
    served: str,
    mlflow_registry: MlflowRegistry,
    tmp_path: Path,
    home: Path,
    make_checkpoint: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert b"<html" in fetch(served).lower()
    found = json.loads(fetch(f"{served}/api/2.0/mlflow/experiments/search", {"max_results": 10}))
    assert "vgsearch/grl" in {experiment["name"] for experiment in found["experiments"]}
    (parent,) = mlflow_registry.searches()
    config = fetch(f"{served}/get-artifact?path=config.yaml&run_uuid={parent.run_id}")
    assert config == b"name: grl\n"

    remote = MlflowRegistry(tmp_path / "elsewhere", served)
    remote.open_search("far", params={"a": {"b": None}}, config_text="name: far\n")
    run = remote.open_trial("far", "t0", label="t0", params={}, spec_text="")
    for _ in range(2):
        remote.log_epoch(run, 1, {"val/recall_at_1": 41.0})
        version = remote.record_checkpoint(run, make_checkpoint("t0", 1), search="far", uid="t0", epoch=1)
    remote.set_champion("far", version.version)
    remote.log_scores(run, {"test/x/recall_at_1": 40.0}, {"test__x.npz": b"scores"})
    remote.finish_trial(run, "stopped", reason="below the rung")
    assert remote.champion("far").version == "1"
    (trial,) = remote.trials("far")
    assert (trial.state, trial.history[1]) == ("stopped", {"val/recall_at_1": 41.0})
    for _ in range(2):
        folder = remote.download("models:/vgsearch-far@champion")
        assert (folder / "model.safetensors").read_bytes() == b"weights"
        assert folder.is_relative_to(tmp_path / "elsewhere")
        assert sorted(path.name for path in folder.iterdir()) == [
            "metrics.json",
            "model.safetensors",
            "trial.yaml",
            "val.npz",
        ]
        (folder / "model.safetensors").write_bytes(b"damaged; fetched again")
    assert mlflow_registry.champion("far").epoch == 1
    with pytest.raises(RegistryError, match=f"the store is the MLflow server {served}"):
        serve_ui(tmp_path, tracking_uri=served)
    assert capfd.readouterr().out == ""


def test_a_port_that_is_taken_is_said_in_one_line(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            RegistryError, match=rf"cannot listen on 127\.0\.0\.1:{port} \(Address already in use\)"
        ):
            serve_ui(home, port=port)
    for host, number in (("127.0.0.1", 70000), ("no.such.host.invalid", 5000)):
        with pytest.raises(RegistryError, match=f"cannot listen on {host}:{number}"):
            serve_ui(home, host, number)


def test_the_server_is_this_interpreters_and_stays_on_this_machine(home: Path) -> None:
    command = server_command(home, "127.0.0.1", 5000)
    assert command[:4] == [sys.executable, "-m", "mlflow", "server"]
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert command[command.index("--workers") + 1] == "1"
    environment = server_environment("postgresql://me:secret@db/x")
    assert environment["MLFLOW_BACKEND_STORE_URI"] == "postgresql://me:secret@db/x"
    assert "secret" not in " ".join(command)
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert environment["PATH"] == os.environ["PATH"]
