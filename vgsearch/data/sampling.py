"""The order in which an epoch visits its items: a new shuffle for every pass, from (seed, epoch) alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from vgsearch.data.draws import Salt, random_permutation


class ShuffledStream:
    """Items 0 to num_items - 1, pass after pass without end, as from a shuffled loader."""

    def __init__(
        self,
        num_items: int,
        batch_size: int,
        *,
        seed: int,
        epoch: int,
        salt: Salt,
        drop_last: bool,
        part: int = 0,
    ) -> None:
        """Describe the stream.

        Args:
            num_items: How many items there are.
            batch_size: Items per batch; at most `num_items` if `drop_last`.
            seed: The trial's seed.
            epoch: The epoch; every epoch has a stream of its own.
            salt: Keeps streams for different purposes apart.
            drop_last: Whether a pass ends with its last whole batch (so that no batch holds an item twice) or
                with its last item.
            part: Of a stream that mixes several: each part has an order of its own.

        Raises:
            ValueError: There are too few items for one batch.
        """
        if num_items < (batch_size if drop_last else 1):
            raise ValueError(f"{num_items} items don't fill a batch of {batch_size}")
        self._num_items = num_items
        self._batch_size = batch_size
        self._items_per_pass = num_items // batch_size * batch_size if drop_last else num_items
        self._key = (int(salt), seed, epoch)
        self._part = (part,) if part else ()
        self._order_of_pass = lru_cache(maxsize=2)(self._shuffle)

    def batch(self, number: int) -> npt.NDArray[np.int64]:
        """Items of batch `number` >= 0, int64 (batch_size,)."""
        positions = self.positions(number)
        passes, offsets = np.divmod(positions, self._items_per_pass)
        items = np.empty_like(positions)
        for pass_number in np.unique(passes).tolist():
            chosen = passes == pass_number
            items[chosen] = self._order_of_pass(pass_number)[offsets[chosen]]
        return items

    def positions(self, number: int) -> npt.NDArray[np.int64]:
        """Where the items of batch `number` stand within the epoch, int64 (batch_size,)."""
        return np.arange(number * self._batch_size, (number + 1) * self._batch_size, dtype=np.int64)

    def _shuffle(self, pass_number: int) -> npt.NDArray[np.int64]:
        return random_permutation((*self._key, pass_number, *self._part), self._num_items)


class MixedStream(ShuffledStream):
    """Batches of which each part has its fixed share, part after part; each part is a stream of its own."""

    def __init__(self, parts: Sequence[ShuffledStream], sizes: Sequence[int]) -> None:
        """Mix `parts`, whose items are numbered on from one part to the next.

        Args:
            parts: At least one.
            sizes: How many items each of them has.
        """
        self._parts = parts
        self._firsts = np.cumsum([0, *sizes[:-1]])
        self._batch_size = sum(part._batch_size for part in parts)

    def batch(self, number: int) -> npt.NDArray[np.int64]:
        """Items of batch `number` >= 0, int64 (batch_size,), those of the first part first."""
        batches = [first + part.batch(number) for first, part in zip(self._firsts, self._parts, strict=True)]
        return np.concatenate(batches)


def even_shares(total: int, parts: int) -> list[int]:
    """Divide `total` items among `parts`: at most one more for some than for others, the first ones first."""
    each, left = divmod(total, parts)
    return [each + (part < left) for part in range(parts)]
