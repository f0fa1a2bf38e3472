"""A process's share of every batch: the slice of the very batch that one process alone would train on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from vgsearch.config.trial import TrialConfig
from vgsearch.data.image_batches import AugmentedBatches
from vgsearch.data.sampling import ShuffledStream


@dataclass(frozen=True)
class BatchShare:
    """Which of the processes that train a trial together this one is.

    Attributes:
        rank: in [0, processes).
        processes: how many share each batch; 1 leaves it whole.
    """

    rank: int = 0
    processes: int = 1

    def part(self, size: int) -> slice:
        """This process's items of a batch of `size`: neighbours, at most one more than another's."""
        each, left = divmod(size, self.processes)
        start = self.rank * each + min(self.rank, left)
        return slice(start, start + each + (self.rank < left))

    def count(self, size: int) -> int:
        """How many items of a batch of `size` are this process's; 0 where there are fewer than processes."""
        part = self.part(size)
        return int(part.stop - part.start)

    def weight(self, size: int) -> float:
        """What the mean over this process's items counts in the mean over a batch of `size`, in [0, 1].

        The means of all processes, weighted and added up, are the batch's mean, however uneven the shares.
        """
        return self.count(size) / size


class ShareOfStream(ShuffledStream):
    """A process's part of each batch of a stream: items and positions are those of the whole one.

    Everything that is drawn for an image is a function of its position, so an image is the same whoever draws
    it.
    """

    def __init__(self, whole: ShuffledStream, share: BatchShare) -> None:
        """Take `share` of every batch of `whole`."""
        self._whole = whole
        self._share = share

    def batch(self, number: int) -> npt.NDArray[np.int64]:
        """This process's items of batch `number`, int64 (count,)."""
        return self._of(self._whole.batch(number))

    def positions(self, number: int) -> npt.NDArray[np.int64]:
        """Where they stand within the epoch, int64 (count,)."""
        return self._of(self._whole.positions(number))

    def _of(self, batch: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return batch[self._share.part(len(batch))]


def take_share(batches: AugmentedBatches[Any], share: BatchShare) -> None:
    """Make `batches` read and yield this process's share of each batch alone; no other image is decoded."""
    if share.processes > 1:
        source = batches._source
        batches._source = replace(source, stream=ShareOfStream(source.stream, share))


def no_images(trial: TrialConfig, device: torch.device) -> Iterator[torch.Tensor]:
    """Batches without an image, float32 (0, 3, px, px), for a process whose share is empty."""
    for _ in range(trial.iterations_per_epoch):
        yield torch.empty((0, 3, trial.image_px, trial.image_px), device=device)
