"""The MLflow UI over the store of a home folder, on this machine only unless asked otherwise."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vgsearch.errors import RegistryError
from vgsearch.registry.mlflow_import import NO_TELEMETRY
from vgsearch.registry.mlflow_store import MlflowStore
from vgsearch.registry.store_uri import ARTIFACTS_FOLDER, is_server, redacted, store_uri

START_TIMEOUT_S = 120.0


def serve_ui(
    home: Path,
    host: str = "127.0.0.1",
    port: int = 5000,
    *,
    tracking_uri: str | None = None,
    ready: Callable[[str], None] | None = None,
) -> int:
    """Run MLflow's server over the store of `home` until it ends or this process is interrupted.

    It also takes in runs: another machine's search reaches the store by `MLFLOW_TRACKING_URI=http://...`.

    Args:
        home: The folder that searches write to; a fresh store is created.
        host: Interface to listen on; the default is reachable from this machine alone.
        port: Port to listen on.
        tracking_uri: See `vgsearch.registry.store_uri.store_uri`.
        ready: Called once with the address when it answers.

    Returns:
        The server's exit code; 0 after an interrupt or a SIGTERM.

    Raises:
        RegistryError: The port is taken, the store is itself a server, or the server does not start.
    """
    uri = store_uri(home.absolute(), tracking_uri)
    if is_server(uri):
        raise RegistryError(f"the store is the MLflow server {redacted(uri)}: open that address in a browser")
    check_port(host, port)
    MlflowStore(home, tracking_uri)
    with _terminated_by_signals():
        server = subprocess.Popen(
            server_command(home, host, port),
            env=server_environment(uri),
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            _wait_until_ready(server, host, port)
            if ready is not None:
                ready(f"http://{_shown(host)}:{port}")
            return server.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            stop_group(server)


def server_command(home: Path, host: str, port: int) -> list[str]:
    """Return the command line of the server; the store's URI goes by environment, not past `ps`."""
    artifacts = (home.absolute() / ARTIFACTS_FOLDER).as_uri()
    command = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port)]
    # Four workers, the default, take 52 ms a call for one user where one takes 9.
    return [
        *command,
        "--workers",
        "1",
        "--artifacts-destination",
        artifacts,
        "--uvicorn-opts",
        "--log-level warning",
    ]


def server_environment(uri: str) -> dict[str, str]:
    """Return this process's environment with the store, no telemetry and no job runners."""
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    quiet = {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "PYTHONWARNINGS": "ignore",
    }
    stores = {"MLFLOW_BACKEND_STORE_URI": uri, "MLFLOW_REGISTRY_STORE_URI": uri}
    return {**environment, **NO_TELEMETRY, **quiet, **stores}


def check_port(host: str, port: int) -> None:
    """Refuse a port that cannot be listened on.

    Raises:
        RegistryError: Another program has it, or this host has no such interface.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RegistryError(f"cannot listen on {host}:{port} ({reason}); choose another port") from error


def stop_group(server: subprocess.Popen[bytes], patience_s: float = 10.0) -> None:
    """End a server that was started as its own process group, workers included."""
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        server.wait(timeout=patience_s)
    # What is left of the group, or all of it after its time is up.
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def _wait_until_ready(server: subprocess.Popen[bytes], host: str, port: int) -> None:
    address = f"http://{_shown(host)}:{port}/health"
    # No proxy: the server is on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RegistryError(f"the MLflow server ended at once (exit code {server.returncode}); see above")
        with suppress(urllib.error.URLError, OSError), opener.open(address, timeout=2.0):
            return
        time.sleep(0.1)
    raise RegistryError(f"the MLflow server did not answer on {address} within {START_TIMEOUT_S:g} s")


def _shown(host: str) -> str:
    """Return the address to open for a host that is listened on."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{shown}]" if ":" in shown else shown


@contextmanager
def _terminated_by_signals() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C, so that the server does not outlive this process."""

    def interrupt(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:
        # Only the main thread may set handlers; elsewhere its owner deals with signals.
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
