"""Ray, started quietly on this machine or joined on a cluster."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vgsearch.errors import SearchError, first_line
from vgsearch.search.resources import Node

# What every driver and worker needs; set before Ray is imported or started.
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_RESULT_BUFFER_LENGTH": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
_OBJECT_STORE_BYTES = 256 * 1024**2  # descriptors and images never travel through it


@contextmanager
def ray_session(address: str | None, *, num_cpus: int | None = None) -> Iterator[list[Node]]:
    """Start Ray here, or join the cluster at `address`, and give its nodes.

    Raises:
        SearchError: no cluster answers at `address`, or Ray cannot start.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray

    for logger in ("ray", "ray.tune"):
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    started = not ray.is_initialized()
    if started:
        try:
            if address is None:
                ray.init(
                    address="local",
                    num_cpus=num_cpus,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    object_store_memory=_OBJECT_STORE_BYTES,
                )
            else:
                ray.init(
                    address=address,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    runtime_env={"env_vars": dict(_ENVIRONMENT)},
                )
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            where = f"join a Ray cluster at {address!r}" if address else "start Ray on this machine"
            raise SearchError(f"cannot {where}: {first_line(error)}") from error
        _protect_token()
    try:
        yield live_nodes()
    finally:
        if started:
            ray.shutdown()


def live_nodes() -> list[Node]:
    """What the cluster's machines offer now; they come and go."""
    import ray

    return [
        Node(
            cpus=node["Resources"].get("CPU", 0.0),
            gpus=node["Resources"].get("GPU", 0.0),
            key=node["NodeID"],
            name=f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})",
        )
        for node in ray.nodes()  # type: ignore[no-untyped-call]
        if node["Alive"]
    ]


def _protect_token() -> None:
    """Take other users' right to read the token that Ray leaves readable; it opens this cluster's ports."""
    token = Path(os.environ.get("RAY_AUTH_TOKEN_PATH", Path.home() / ".ray" / "auth_token"))
    with suppress(OSError):
        if token.is_file() and token.stat().st_mode & 0o077:
            token.chmod(0o600)
