"""What all augmented batches share: images read ahead by threads, finished in whole batches on the device.

Loader threads decode (and, for a CPU, crop) into uint8; what is left happens on the device. Crop and flip
come first and colour jitter second: the jitter then works on no pixel that the crop throws away.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vgsearch.config.trial import TrialConfig
from vgsearch.data.augment import AugmentDraws, draw_augmentation
from vgsearch.data.color_jitter import color_jitter
from vgsearch.data.decode import read_image
from vgsearch.data.draws import Salt
from vgsearch.data.index import ImageIndex
from vgsearch.data.prefetch import Prefetcher
from vgsearch.data.resized_crop import crop_and_flip, crop_and_flip_batch
from vgsearch.data.sampling import ShuffledStream

Ints = npt.NDArray[np.int64]
Yielded = TypeVar("Yielded")


@dataclass(frozen=True)
class Plan:
    """One batch before anything is read: each attribute has b rows.

    Attributes:
        image_ids: Rows of the index.
        labels: Class numbers; zeros where there are no classes.
        draws: How each image is augmented.
    """

    image_ids: Ints
    labels: Ints
    draws: AugmentDraws

    def __len__(self) -> int:
        return len(self.image_ids)


@dataclass(frozen=True)
class Loaded:
    """One batch in the host's memory: images of equal size together, with their positions in the batch."""

    plan: Plan
    groups: list[tuple[Ints, Tensor]]  # uint8 (n, 3, h, w)


@dataclass(frozen=True)
class ImageSource(ABC):
    """Decides batches and reads their images (a `BatchSource`); subclasses say which images."""

    index: ImageIndex
    trial: TrialConfig
    epoch: int
    stream: ShuffledStream
    device: torch.device
    crop_on_device: bool

    @abstractmethod
    def plan(self, number: int) -> Plan:
        """Decide batch `number`."""

    def load(self, plan: Plan, position: int) -> Tensor:
        """Read one image, uint8 (3, h, w): the original, or its crop."""
        image = read_image(self.index.absolute(int(plan.image_ids[position])))
        if self.crop_on_device:
            return image
        draw = plan.draws.crop.rows(slice(position, position + 1))
        return crop_and_flip(image, draw, self.trial.image_px)

    def collate(self, plan: Plan, items: list[Tensor]) -> Loaded:
        """Join images of one size, in page-locked memory if they go to a GPU."""
        positions: dict[tuple[int, ...], list[int]] = {}
        for position, item in enumerate(items):
            positions.setdefault(tuple(item.shape), []).append(position)
        groups = [
            (np.array(members, dtype=np.int64), self._join([items[i] for i in members]))
            for members in positions.values()
        ]
        return Loaded(plan, groups)

    def _join(self, items: list[Tensor]) -> Tensor:
        # Originals are interleaved: joined as they lie, every copy is a plain one.
        joined = torch.stack([item.permute(1, 2, 0) for item in items] if self.crop_on_device else items)
        if self.device.type == "cuda":
            with torch.cuda.device(self.device):
                joined = joined.pin_memory()
        return joined.permute(0, 3, 1, 2) if self.crop_on_device else joined

    def draw(self, salt: Salt, number: int) -> AugmentDraws:
        """Draw the augmentation of batch `number`."""
        positions = self.stream.positions(number)
        return draw_augmentation(self.trial.augment, self.trial.seed, self.epoch, positions, salt=salt)


class AugmentedBatches(ABC, Generic[Yielded]):
    """`iterations_per_epoch` batches; iterating again gives the same ones again."""

    def __init__(self, source: ImageSource, threads: int) -> None:
        self._source = source
        self._threads = threads
        self._prefetcher: Prefetcher[Plan, Tensor, Loaded] | None = None

    def __len__(self) -> int:
        return self._source.trial.iterations_per_epoch

    def __iter__(self) -> Iterator[Yielded]:
        self.close()
        with Prefetcher(self._source, len(self), threads=self._threads) as self._prefetcher:
            for loaded in self._prefetcher:
                yield self._finish(loaded)

    def close(self) -> None:
        """End the loader threads. Running out of batches, an error and garbage collection do so too."""
        if self._prefetcher is not None:
            self._prefetcher.close()
            self._prefetcher = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def _finish(self, loaded: Loaded) -> Yielded:
        """Make of a batch in the host's memory what the iteration yields."""

    def _images(self, loaded: Loaded) -> Tensor:
        """Bring a batch to the device and do what is left of its augmentation: float32 (b, 3, px, px)."""
        source, draws = self._source, loaded.plan.draws
        out_px = source.trial.image_px
        if source.crop_on_device:
            images = torch.empty((len(draws), 3, out_px, out_px), dtype=torch.uint8, device=source.device)
            for positions, originals in loaded.groups:
                moved = originals.to(source.device, non_blocking=True)
                crops = crop_and_flip_batch(moved, draws.crop.rows(positions), out_px)
                images[torch.from_numpy(positions).to(source.device)] = crops
        else:
            images = loaded.groups[0][1].to(source.device, non_blocking=True)
        return color_jitter(images, draws.jitter, compile=source.trial.compile)
