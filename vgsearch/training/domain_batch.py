"""Which images of a training batch belong to which domain, in one process or shared by several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from vgsearch.config.trial import DomainConfig
from vgsearch.data.sampling import even_shares
from vgsearch.training.batch_share import BatchShare


@dataclass(frozen=True)
class DomainBatch:
    """The domains of one process's batch: the source first, then each target domain.

    Attributes:
        counts: how many images there are of each; they stand in this order.
        weights: what part of the step's images of that domain these are: 1 unless processes share the batch.
            Means over a domain's images, weighted and added up over the processes, are those of all of them.
    """

    counts: tuple[int, ...]
    weights: tuple[float, ...]

    @classmethod
    def whole(cls, source: int, targets: Sequence[int]) -> Self:
        """The batch of a process that trains alone."""
        return cls((source, *targets), (1.0,) * (1 + len(targets)))

    @classmethod
    def shared(cls, source: int, targets: Sequence[int], share: BatchShare) -> Self:
        """This process's part of a batch of `source` training images and `targets` of each target domain.

        The target images of all domains are one row that is cut into neighbouring parts, so a process may
        have no image of some domain.
        """
        part = share.part(sum(targets))
        counts, first = [share.count(source)], 0
        for size in targets:
            counts.append(max(0, min(part.stop, first + size) - max(part.start, first)))
            first += size
        sizes = (source, *targets)
        return cls(tuple(counts), tuple(count / size for count, size in zip(counts, sizes, strict=True)))


def target_counts(batch_size: int, domain: DomainConfig, num_targets: int) -> list[int]:
    """How many images of each target domain go with a training batch: even shares, at least 1 of each."""
    total = max(num_targets, round(batch_size * domain.batch_fraction))
    return even_shares(total, num_targets)
