"""What rank 0 of a trial and its other processes say to each other: one line each, over two pipes a process.

Rank 0 writes the setup, then `join`, then `epoch <n>` for each epoch; a process answers `ready` to the setup
and `done` to an epoch, or says why it failed and ends. The end of the pipe is a message too: the other side
is gone.
"""

from __future__ import annotations

import json
import traceback
from dataclasses import asdict, dataclass
from typing import Literal, Self

import torch
import torch.distributed as dist

from vgsearch import errors
from vgsearch.models.exchange import ExchangeError

JOIN = "join"
EPOCH = "epoch"


class RankError(errors.VgsearchError):
    """A process of a trial died or does not answer; what it was training is lost, its checkpoints are not."""


@dataclass(frozen=True)
class RankSetup:
    """All that a process needs to know of its trial.

    Attributes:
        spec: the `TrialSpec` as JSON.
        checkpoint: folder that rank 0 resumed from, or None.
        trunk: checkpoint that a fresh trial starts from, or None.
        epoch: completed epochs.
        rank: in [1, processes).
        processes: how many train the trial.
        device: "cpu" or "cuda:<rank>".
        compute_threads: inside one PyTorch operation.
        loader_threads: that read images.
        rendezvous: file through which the processes find each other.
        timeout_s: longest wait in an exchange.
    """

    spec: str
    checkpoint: str | None
    trunk: str | None
    epoch: int
    rank: int
    processes: int
    device: str
    compute_threads: int
    loader_threads: int
    rendezvous: str
    timeout_s: float

    def to_line(self) -> str:
        """As one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_line(cls, line: str) -> Self:
        """Read what `to_line` gave."""
        return cls(**json.loads(line))


@dataclass(frozen=True)
class RankReply:
    """What a process answers.

    Attributes:
        kind: `ready` to train, `done` with an epoch, or `failed` and ending.
        gpu_peak_bytes: done: most GPU memory in use during the epoch; None on a CPU.
        weights_norm: done: `squared_norm` of all that learns.
        error: failed: name of the exception's type.
        message: failed: what it says.
        trace: failed: where, for an error that is ours to mend; else empty.
        exchange: failed: in an exchange, so another process is to blame.
    """

    kind: Literal["ready", "done", "failed"]
    gpu_peak_bytes: float | None = None
    weights_norm: float = 0.0
    error: str = ""
    message: str = ""
    trace: str = ""
    exchange: bool = False

    def to_line(self) -> str:
        """As one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_line(cls, line: str) -> Self:
        """Read what `to_line` gave."""
        return cls(**json.loads(line))

    @classmethod
    def of_error(cls, error: BaseException) -> Self:
        """The reply of a process that `error` ends."""
        ours = not isinstance(error, (errors.VgsearchError, MemoryError, torch.cuda.OutOfMemoryError))
        return cls(
            "failed",
            error=type(error).__name__,
            message=str(error),
            trace="".join(traceback.format_exception(error)) if ours else "",
            exchange=is_exchange_error(error),
        )

    def to_error(self, rank: int) -> Exception:
        """The error of a `failed` reply, for rank 0 to raise as if it were its own."""
        if self.error == "MemoryError":
            return MemoryError(f"process {rank} of the trial: {self.message}".rstrip(": "))
        if self.error == "OutOfMemoryError":
            return torch.cuda.OutOfMemoryError(f"process {rank} of the trial: {self.message}")
        if self.error == "ConfigError":
            return errors.ConfigError(self.message.splitlines())
        kind = getattr(errors, self.error, None)
        if isinstance(kind, type) and issubclass(kind, errors.VgsearchError):
            return kind(self.message)
        error = RuntimeError(f"process {rank} of the trial: {self.error}: {_first_line(self.message)}")
        error.add_note(self.trace)
        return error


def is_exchange_error(error: BaseException) -> bool:
    """Whether `error` says that another process did not take part in an exchange."""
    return isinstance(error, (ExchangeError, dist.DistError))


def _first_line(text: str) -> str:
    return next(iter(text.strip().splitlines()), "")
