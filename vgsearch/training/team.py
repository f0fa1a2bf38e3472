"""Rank 0's view of a trial's other processes: starting them, telling them what to do, noticing their end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch

from vgsearch.config.search import TrialSpec
from vgsearch.errors import VgsearchError
from vgsearch.training import process_group
from vgsearch.training.rank_messages import (
    EPOCH,
    JOIN,
    RankError,
    RankReply,
    RankSetup,
    is_exchange_error,
)
from vgsearch.training.threads import ThreadSplit

START_TIMEOUT_S = 900.0
"""How long a process may take to import PyTorch, read the index and build the network."""

# Of a failure, the exchange that it breaks is often heard first; its cause follows within this time.
_CAUSE_FOLLOWS_S = 5.0
_END_S = 5.0


@dataclass(eq=False)
class _Member:
    """One process, and all that it has said so far."""

    rank: int
    process: subprocess.Popen[str]
    listener: threading.Thread | None = None
    replies: list[RankReply] = field(default_factory=list)
    ended: bool = False
    dismissed: bool = False

    @property
    def failure(self) -> RankReply | None:
        return next((reply for reply in self.replies if reply.kind == "failed"), None)

    def count(self, kind: str) -> int:
        return sum(reply.kind == kind for reply in self.replies)


@dataclass
class _Belongings:
    """What has to be put away when the team ends, however it ends."""

    folder: Path
    members: list[_Member] = field(default_factory=list)
    in_group: bool = False


class Team:
    """The processes 1 to n - 1 of a trial; this process is number 0.

    They share its machine, its environment (so `CUDA_VISIBLE_DEVICES`, of which rank r takes device r) and
    its view of the files, and end with it. Once one of them has failed, the team is of no more use: close it.
    """

    def __init__(
        self,
        spec: TrialSpec,
        *,
        processes: int,
        checkpoint: Path | None,
        trunk: Path | None,
        epoch: int,
        device: torch.device,
        threads: ThreadSplit,
    ) -> None:
        """Start the processes, which then build the trial's parts while this one does.

        Args:
            spec: the trial.
            processes: how many train it, this one included; at least 2.
            checkpoint: folder to resume from; it must stay until `join` has returned.
            trunk: checkpoint that a fresh trial starts from; likewise.
            epoch: completed epochs.
            device: of this process; its type is that of all.
            threads: of each process.
        """
        self._processes = processes
        self._device = device
        self._changed = threading.Condition()
        self._timeout_s = process_group.EXCHANGE_TIMEOUT_S
        self._epochs = 0
        self._belongings = _Belongings(Path(tempfile.mkdtemp(prefix="vgsearch-trial-")))
        self._members = self._belongings.members
        self._rendezvous = self._belongings.folder / "rendezvous"
        self._end = weakref.finalize(self, _end, self._belongings)
        try:
            for rank in range(1, processes):
                setup = RankSetup(
                    spec=spec.model_dump_json(),
                    checkpoint=None if checkpoint is None else str(checkpoint.resolve()),
                    trunk=None if trunk is None else str(trunk.resolve()),
                    epoch=epoch,
                    rank=rank,
                    processes=processes,
                    device=f"cuda:{rank}" if device.type == "cuda" else device.type,
                    compute_threads=threads.compute,
                    loader_threads=threads.loader,
                    rendezvous=str(self._rendezvous),
                    timeout_s=self._timeout_s,
                )
                self._members.append(_start(setup, self._changed))
        except BaseException:
            self.close()
            raise

    @property
    def pids(self) -> list[int]:
        """Process ids, of rank 1 and up."""
        return [member.process.pid for member in self._members]

    def join(self) -> None:
        """Wait until all have built their parts, then form the process group with them.

        Raises:
            RankError: a process died, or was not ready in time.
            Exception: what a process raised while it built its parts.
        """
        self._wait_for("ready", 1, START_TIMEOUT_S)
        self._tell(JOIN)
        process_group.join_group(
            self._rendezvous,
            rank=0,
            processes=self._processes,
            device=self._device,
            timeout_s=self._timeout_s,
        )
        self._belongings.in_group = True

    def start_epoch(self, epoch: int) -> None:
        """Let all train epoch `epoch` (0-based); this process must do so too."""
        self._epochs += 1
        self._tell(f"{EPOCH} {epoch}")

    def finish_epoch(self) -> Sequence[RankReply]:
        """What each has to say of the epoch that this process has just finished.

        Raises:
            RankError: a process died, or does not answer in time.
            Exception: what a process raised.
        """
        self._wait_for("done", self._epochs, self._timeout_s)
        return [next(r for r in reversed(member.replies) if r.kind == "done") for member in self._members]

    def cause_of(self, error: Exception) -> Exception:
        """What ended the epoch that ended here with `error`: another process's failure, or `error`.

        An error that this process found by itself (an unreadable image, say) is its own cause. Behind a
        broken exchange stands a process that failed, died or hangs; behind a loss that is not finite there
        may be one.
        """
        if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
            return error
        if isinstance(error, VgsearchError) and not self._anyone_ended():
            return error
        with self._changed:
            self._changed.wait_for(lambda: all(m.ended for m in self._members), timeout=_CAUSE_FOLLOWS_S)
        found = self._failure()
        if found is not None:
            return found
        return self._silent(self._timeout_s) if is_exchange_error(error) else error

    def close(self) -> None:
        """End all processes and leave their group. Nothing is waited for but their end, 5 s at most."""
        self._end()

    def _tell(self, line: str) -> None:
        for member in self._members:
            assert member.process.stdin is not None
            # A dead process is noticed where its answer is missed.
            with suppress(OSError):
                member.process.stdin.write(f"{line}\n")
                member.process.stdin.flush()

    def _wait_for(self, kind: str, times: int, timeout_s: float) -> None:
        """Wait for `times` replies of a kind from every process; raise the cause where one never comes."""

        def settled() -> bool:
            return all(m.count(kind) >= times for m in self._members) or self._anyone_ended()

        with self._changed:
            in_time = self._changed.wait_for(settled, timeout=timeout_s)
            if all(member.count(kind) >= times for member in self._members):
                return
        if in_time:
            with self._changed:
                self._changed.wait_for(lambda: self._failure() is not None, timeout=_CAUSE_FOLLOWS_S)
        raise self._failure() or self._silent(timeout_s)

    def _anyone_ended(self) -> bool:
        return any(member.ended or member.failure for member in self._members)

    def _failure(self) -> Exception | None:
        """The first cause among what is known: an error of its own, then a death without a word."""
        for member in self._members:
            if member.failure is not None and not member.failure.exchange:
                return member.failure.to_error(member.rank)
        for member in self._members:
            if member.ended and member.failure is None:
                return RankError(
                    f"process {member.rank} of the {self._processes} that train this trial "
                    f"{_how_it_ended(member.process.returncode)}; if the machine ran out of memory, take "
                    "fewer processes or loader threads; the trial goes on from its last checkpoint"
                )
        return None

    def _silent(self, timeout_s: float) -> RankError:
        ranks = [str(member.rank) for member in self._members if not member.ended]
        who = f"process {', '.join(ranks)}" if ranks else "a process"
        return RankError(
            f"{who} of the {self._processes} that train this trial did not answer for {timeout_s:g} s: a "
            "disk, a GPU or the process itself hangs; the trial goes on from its last checkpoint"
        )


def _start(setup: RankSetup, changed: threading.Condition) -> _Member:
    package_root = str(Path(__file__).resolve().parents[2])
    search_path = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")]))
    process = subprocess.Popen(
        [sys.executable, "-m", "vgsearch.training.rank_worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": search_path, "OMP_NUM_THREADS": str(setup.compute_threads)},
    )
    member = _Member(setup.rank, process)
    member.listener = threading.Thread(
        target=_listen, args=(member, changed), name=f"vgsearch-rank-{setup.rank}", daemon=True
    )
    member.listener.start()
    assert process.stdin is not None
    with suppress(OSError):
        process.stdin.write(f"{setup.to_line()}\n")
        process.stdin.flush()
    return member


def _listen(member: _Member, changed: threading.Condition) -> None:
    """Take down what a process says until it ends, which breaks off any exchange with it."""
    assert member.process.stdout is not None
    with member.process.stdout as lines:
        for line in lines:
            # What an interpreter's start-up hooks may print comes before ours, and is no reply.
            with suppress(ValueError, TypeError), changed:
                member.replies.append(RankReply.from_line(line))
                changed.notify_all()
    member.process.wait()
    with changed:
        member.ended = True
        changed.notify_all()
    if not member.dismissed:
        process_group.break_off()


def _end(belongings: _Belongings) -> None:
    for member in belongings.members:
        member.dismissed = True
        assert member.process.stdin is not None
        with suppress(OSError):
            member.process.stdin.close()
    if belongings.in_group:
        process_group.leave_group()
    deadline_s = time.monotonic() + _END_S
    for member in belongings.members:
        try:
            member.process.wait(max(0.0, deadline_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            member.process.kill()
            member.process.wait()
        # A late listener would break off the exchanges of the next trial.
        if member.listener is not None and member.listener is not threading.current_thread():
            member.listener.join(_END_S)
    shutil.rmtree(belongings.folder, ignore_errors=True)


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"ended by itself (exit code {code})"
    try:
        return f"was killed ({signal.Signals(-code).name})"
    except ValueError:
        return f"was killed (signal {-code})"
