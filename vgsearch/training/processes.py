"""The processes that train a trial's epochs: this one alone, or in step with a team of others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from vgsearch.config.search import TrialSpec
from vgsearch.errors import ConfigError, DivergedError
from vgsearch.models.precision import Precision
from vgsearch.training.batch_share import BatchShare
from vgsearch.training.data_cache import TrialData
from vgsearch.training.epoch import EpochTotals
from vgsearch.training.gradient_sum import norms_agree
from vgsearch.training.parts import TrialParts
from vgsearch.training.shared_epoch import in_words, train_share
from vgsearch.training.team import Team
from vgsearch.training.threads import ThreadSplit


@dataclass(frozen=True)
class TrainedEpoch:
    """What the processes have to say of an epoch.

    Attributes:
        totals: of the whole epoch.
        gpu_peak_bytes: most GPU memory that any other process used; 0 without others or GPUs.
    """

    totals: EpochTotals
    gpu_peak_bytes: float


class TrialProcesses:
    """Trains the epochs of one trial in `processes` processes, this one being rank 0.

    Between epochs the others wait for a word, not in an exchange, so that scoring may take as long as it
    likes.
    """

    def __init__(
        self,
        spec: TrialSpec,
        device: torch.device,
        precision: Precision,
        threads: ThreadSplit,
        processes: int,
    ) -> None:
        """Remember all; nothing is started yet.

        Args:
            spec: the trial.
            device: this process's.
            precision: of the forward pass.
            threads: of each process.
            processes: as `require_processes` allows.
        """
        self._spec = spec
        self._device = device
        self._precision = precision
        self._threads = threads
        self._processes = processes
        self._team: Team | None = None

    @property
    def pids(self) -> list[int]:
        """Process ids of the others, of rank 1 and up."""
        return [] if self._team is None else self._team.pids

    def start(self, checkpoint: Path | None, epoch: int, *, trunk: Path | None = None) -> None:
        """Start the others, which build the trial's parts as this process does, see `build_parts`."""
        if self._processes > 1:
            self._team = Team(
                self._spec,
                processes=self._processes,
                checkpoint=checkpoint,
                trunk=trunk,
                epoch=epoch,
                device=self._device,
                threads=self._threads,
            )

    def join(self) -> None:
        """Wait for the others to have built theirs.

        Raises:
            RankError: one died, or was not ready in time.
            Exception: what one of them raised.
        """
        if self._team is not None:
            self._team.join()

    def train(
        self,
        parts: TrialParts,
        data: TrialData,
        epoch: int,
        progress: Callable[[int, int, float], None] | None,
        check: Callable[[], None] | None = None,
    ) -> TrainedEpoch:
        """Train epoch `epoch` (0-based) in all processes. An error, also one of `check`, ends all of them.

        Raises:
            DivergedError: the loss or a weight is not finite.
            RankError: a process died or hangs; raised within the longest wait in an exchange.
            ConfigError: another process met what has no deterministic form.
            ImageError: a process cannot read an image.
            RuntimeError: the processes have ended, with an earlier error or by `close`.
        """
        if self._processes > 1 and self._team is None:
            raise RuntimeError("the processes of this trial have ended, so its trainer is closed")
        scoring_threads = torch.get_num_threads()
        try:
            if self._team is None:
                trained = TrainedEpoch(self._train_share(parts, data, epoch, progress, check), 0.0)
                self._require_finite(parts, epoch)
            else:
                torch.set_num_threads(self._threads.compute)
                trained = self._train_with(self._team, parts, data, epoch, progress, check)
        except BaseException:
            self.close()
            raise
        finally:
            torch.set_num_threads(scoring_threads)
        return trained

    def close(self) -> None:
        """End the other processes."""
        if self._team is not None:
            self._team.close()
            self._team = None

    def _train_with(
        self,
        team: Team,
        parts: TrialParts,
        data: TrialData,
        epoch: int,
        progress: Callable[[int, int, float], None] | None,
        check: Callable[[], None] | None = None,
    ) -> TrainedEpoch:
        team.start_epoch(epoch)
        try:
            totals = self._train_share(parts, data, epoch, progress, check)
        except Exception as error:
            cause = team.cause_of(error)
            if cause is error:
                raise
            raise cause from error
        replies = team.finish_epoch()
        self._require_finite(parts, epoch)
        norm = parts.squared_norm()
        for rank, reply in enumerate(replies, start=1):
            if not norms_agree(norm, reply.weights_norm):
                raise RuntimeError(f"the weights of process {rank} are not those of process 0 any more")
        return TrainedEpoch(totals, max(reply.gpu_peak_bytes or 0.0 for reply in replies))

    def _train_share(
        self,
        parts: TrialParts,
        data: TrialData,
        epoch: int,
        progress: Callable[[int, int, float], None] | None,
        check: Callable[[], None] | None = None,
    ) -> EpochTotals:
        return train_share(
            parts,
            data,
            self._spec,
            epoch=epoch,
            device=self._device,
            precision=self._precision,
            loader_threads=self._threads.loader,
            share=BatchShare(0, self._processes),
            progress=progress,
            check=check,
        )

    def _require_finite(self, parts: TrialParts, epoch: int) -> None:
        # The last step of an epoch is followed by no loss that would show its damage.
        tensors = parts.network.state_dict().values()
        finite = torch.stack([torch.isfinite(t).all() for t in tensors if t.is_floating_point()])
        if not bool(finite.all()):
            raise DivergedError(
                f"weights are not finite at the end of epoch {epoch + 1} "
                f"({in_words(self._spec.trial, self._precision)}); lower lr or classifier_lr, or "
                "raise precision"
            )


def require_processes(processes: int, batch_size: int, device: torch.device) -> None:
    """Refuse a number of processes that cannot train a trial.

    Raises:
        ConfigError: there are fewer than 1, more than images in a batch, or more than GPUs.
    """
    if processes < 1:
        raise ConfigError([f"processes: a trial needs at least 1 process, but got {processes}"])
    if processes > batch_size:
        raise ConfigError(
            [
                f"processes: {processes} processes cannot share a batch of {batch_size}: raise "
                f"trial.batch_size or take at most {batch_size}"
            ]
        )
    if device.type == "cuda" and processes > torch.cuda.device_count():
        raise ConfigError(
            [
                f"processes: {processes} processes need a GPU each, but this one sees "
                f"{torch.cuda.device_count()}: take fewer, or give the trial more GPUs"
            ]
        )
