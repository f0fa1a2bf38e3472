"""The group of processes that train one trial: joining, leaving, breaking off."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import FileStore

from vgsearch.models.exchange import exchanging

EXCHANGE_TIMEOUT_S = 600.0
"""How long a process waits for another one inside an epoch; between epochs nobody waits in an exchange."""

# gloo would otherwise take the address that the machine's name resolves to, which may not exist.
_GLOO_INTERFACE = ("GLOO_SOCKET_IFNAME", "lo" if sys.platform == "linux" else "lo0")
# 2 (clean up only): an exchange that takes too long ends, and with it the epoch, by an error that says so; by
# default NCCL's watchdog would abort the whole process, which may be the user's or a worker of Ray's.
_NCCL_WITHOUT_ABORT = ("TORCH_NCCL_ASYNC_ERROR_HANDLING", "2")


def join_group(
    rendezvous: Path, *, rank: int, processes: int, device: torch.device, timeout_s: float
) -> None:
    """Make this process a member of the default process group: NCCL between GPUs, gloo between CPUs.

    Args:
        rendezvous: a file on a local disk that all members name and none has used before.
        rank: in [0, processes).
        processes: members in all; the call returns when all are there.
        device: this member's.
        timeout_s: longest wait for another member, here and in every exchange.

    Raises:
        ExchangeError: not all came in time.
        RuntimeError: this process is in a group already: one trial with several processes at a time.
    """
    if dist.is_initialized():
        raise RuntimeError(
            "a process trains one trial with several processes at a time, and none where it is in a process "
            "group of PyTorch's already (under torchrun, say): close the other trainer first"
        )
    cuda = device.type == "cuda"
    with (
        _environment_default(*(_NCCL_WITHOUT_ABORT if cuda else _GLOO_INTERFACE)),
        exchanging("addresses"),
    ):
        dist.init_process_group(
            "nccl" if cuda else "gloo",
            store=FileStore(str(rendezvous), processes),
            rank=rank,
            world_size=processes,
            timeout=timedelta(seconds=timeout_s),
            device_id=device if cuda else None,
        )


def break_off() -> None:
    """End the exchanges under way between GPUs, which never end by themselves; from any thread.

    gloo needs no help: it notices a member's death.
    """
    with suppress(RuntimeError):
        if dist.is_initialized() and dist.get_backend() == "nccl":
            group = dist.group.WORLD
            assert group is not None
            group.abort()


def leave_group() -> None:
    """Leave without waiting for the other members, dead or alive; afterwards another group can be joined."""
    if dist.is_initialized():
        break_off()
        dist.destroy_process_group()


@contextmanager
def _environment_default(name: str, value: str) -> Iterator[None]:
    """Set an environment variable inside unless the user has set it."""
    if name in os.environ:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name, None)
