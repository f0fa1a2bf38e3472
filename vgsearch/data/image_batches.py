"""What all augmented batches share: images read ahead by threads and augmented there or on the device.

Crop and flip come first and colour jitter second: no pixel is jittered that the crop throws away.

On a GPU the threads only decode, and whole batches of uint8 are augmented on the device. On a CPU the threads
do everything, image by image, each on one core: the image stays in that core's cache, and no operation waits
for a team of threads that is busy with the network.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
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
        images: float32 (b, 3, px, px) for the threads to fill, or None if the device augments.
        image_ids: Rows of the index.
        labels: Class numbers; zeros where there are no classes.
        draws: How each image is augmented.
    """

    images: Tensor | None
    image_ids: Ints
    labels: Ints
    draws: AugmentDraws

    def __len__(self) -> int:
        return len(self.image_ids)


@dataclass(frozen=True)
class Loaded:
    """One batch that has been read; `originals` are left to augment if the device does that.

    Attributes:
        plan: What was read.
        originals: Images of equal size together, uint8 (n, 3, h, w), with their positions in the batch.
    """

    plan: Plan
    originals: list[tuple[Ints, Tensor]]


@dataclass(frozen=True)
class ImageSource(ABC):
    """Decides batches and reads their images (a `BatchSource`); subclasses say which images."""

    index: ImageIndex
    trial: TrialConfig
    epoch: int
    stream: ShuffledStream
    device: torch.device
    augment_on_device: bool

    @abstractmethod
    def choose(self, number: int) -> tuple[Ints, Ints]:
        """Decide the rows of the index and the labels of batch `number`."""

    @property
    @abstractmethod
    def augment_salt(self) -> Salt:
        """What keeps these augmentations apart from others."""

    def plan(self, number: int) -> Plan:
        """Decide batch `number`."""
        trial = self.trial
        positions = self.stream.positions(number)
        draws = draw_augmentation(trial.augment, trial.seed, self.epoch, positions, salt=self.augment_salt)
        image_ids, labels = self.choose(number)
        if self.augment_on_device:
            return Plan(None, image_ids, labels, draws)
        shape = (len(image_ids), 3, trial.image_px, trial.image_px)
        with _on(self.device):
            images = torch.empty(shape, pin_memory=self.device.type == "cuda")
        return Plan(images, image_ids, labels, draws)

    def load(self, plan: Plan, position: int) -> Tensor:
        """Read one image: the original, uint8 (3, h, w), or its place in `plan.images`, filled."""
        original = read_image(self.index.absolute(int(plan.image_ids[position])))
        if plan.images is None:
            return original
        this = slice(position, position + 1)
        crop = crop_and_flip(original, plan.draws.crop.rows(this), self.trial.image_px)
        return color_jitter(crop[None], plan.draws.jitter.rows(this), out=plan.images[this])

    def collate(self, plan: Plan, items: list[Tensor]) -> Loaded:
        """Join originals of one size, in page-locked memory if they go to a GPU."""
        if plan.images is not None:
            return Loaded(plan, [])
        positions: dict[tuple[int, ...], list[int]] = {}
        for position, item in enumerate(items):
            positions.setdefault(tuple(item.shape), []).append(position)
        joined = [
            (np.array(members, dtype=np.int64), self._join([items[i] for i in members]))
            for members in positions.values()
        ]
        return Loaded(plan, joined)

    def _join(self, originals: list[Tensor]) -> Tensor:
        # Decoded pixels are interleaved: joined as they lie, every copy is a plain one.
        joined = torch.stack([original.permute(1, 2, 0) for original in originals])
        if self.device.type == "cuda":
            with _on(self.device):
                joined = joined.pin_memory()
        return joined.permute(0, 3, 1, 2)


def _on(device: torch.device) -> AbstractContextManager[object]:
    """Make a GPU the current one of this thread: page-locked memory belongs to it."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


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
        if loaded.plan.images is not None:
            return loaded.plan.images.to(source.device, non_blocking=True)
        out_px = source.trial.image_px
        crops = torch.empty((len(draws), 3, out_px, out_px), dtype=torch.uint8, device=source.device)
        for positions, originals in loaded.originals:
            moved = originals.to(source.device, non_blocking=True)
            places = torch.from_numpy(positions).to(source.device)
            crops[places] = crop_and_flip_batch(moved, draws.crop.rows(positions), out_px)
        return color_jitter(crops, draws.jitter, compile=source.trial.compile)
