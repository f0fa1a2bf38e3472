"""What each iteration of a GeoWarp training sees, as a function of (seed, epoch, iteration) alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

from vgsearch.config.warp_training import WarpTraining
from vgsearch.data.draws import Salt, random_uniforms
from vgsearch.data.index import ImageIndex
from vgsearch.data.sampling import ShuffledStream
from vgsearch.errors import DataError
from vgsearch.rerank.photos import Ints, PhotoBatch, PhotoGroup
from vgsearch.rerank.quadrilaterals import NUM_UNIFORMS


class WarpBatches(Sequence[PhotoBatch]):
    """The batches of one epoch: photos that are warped, then queries and positives where pairs are used."""

    def __init__(self, training: WarpTraining, photos: ImageIndex, pairs: Ints, epoch: int) -> None:
        """Describe them.

        Args:
            training: Says how many, of what size, from which seed.
            photos: The training photos.
            pairs: Rows of query and positive, int64 (m, 2); none where no loss uses them.
            epoch: From 0; every epoch has draws of its own.

        Raises:
            DataError: There are too few photos or pairs for one batch.
        """
        self._training = training
        self._photos = photos
        self._pairs = pairs
        self._epoch = epoch
        self._views = self._stream(len(photos), Salt.WARP_ORDER, "photos")
        self._of_pairs = (
            self._stream(len(pairs), Salt.WARP_PAIR_ORDER, "pairs of query and positive")
            if training.uses_pairs
            else None
        )

    def __len__(self) -> int:
        return self._training.iterations_per_epoch

    @overload
    def __getitem__(self, number: int) -> PhotoBatch: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[PhotoBatch]: ...
    def __getitem__(self, number: int | slice) -> PhotoBatch | Sequence[PhotoBatch]:
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(len(self)))]
        if not 0 <= number < len(self):
            raise IndexError(number)
        groups = [PhotoGroup(self._photos, self._views.batch(number))]
        if self._of_pairs is not None:
            chosen = self._pairs[self._of_pairs.batch(number)]
            groups += [PhotoGroup(self._photos, chosen[:, side]) for side in (0, 1)]
        return PhotoBatch(tuple(groups))

    def uniforms(self, number: int) -> NDArray[np.float64]:
        """What the quadrilaterals of batch `number` are drawn from, float64 (b, NUM_UNIFORMS)."""
        key = (Salt.WARP_QUADRILATERALS, self._training.seed, self._epoch)
        return random_uniforms(key, self._views.positions(number), NUM_UNIFORMS)

    def _stream(self, count: int, salt: Salt, what: str) -> ShuffledStream:
        size = self._training.batch_size
        if count < size:
            raise DataError(
                f"{self._photos.root} gives {count} {what}, which do not fill a batch of {size}; "
                "lower batch_size"
                + (" or raise pairs.max_squared_distance" if salt == Salt.WARP_PAIR_ORDER else "")
            )
        return ShuffledStream(
            count, size, seed=self._training.seed, epoch=self._epoch, salt=salt, drop_last=True
        )
