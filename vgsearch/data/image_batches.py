"""What all augmented batches share: images read ahead by threads and augmented there or on the device.

Crop and flip come first: no pixel is changed that the crop throws away. Then an image may take the style of a
photo of another domain (FDA), as in its authors' code while it is still a photo, before means are subtracted;
colour jitter comes next, so that what the network sees of the other domain varies as much as what it sees of
its own, and perspective last: the corners that it leaves free stay black.

On a GPU the threads only decode, and whole batches of uint8 are augmented on the device. On a CPU the threads
do everything, image by image, each on one core: the image stays in that core's cache, and no operation waits
for a team of threads that is busy with the network.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Generic, Self, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vgsearch.config.trial import TrialConfig
from vgsearch.data.augment import AugmentDraws, draw_augmentation
from vgsearch.data.color_jitter import color_jitter
from vgsearch.data.draws import Salt
from vgsearch.data.fda import in_style_of
from vgsearch.data.index import ImageIndex
from vgsearch.data.perspective import warp
from vgsearch.data.prefetch import Prefetcher
from vgsearch.data.resized_crop import CropDraws, crop_and_flip, crop_and_flip_batch
from vgsearch.data.sampling import ShuffledStream
from vgsearch.data.style_draws import StyleDraws, draw_styles

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
        styles: Whose style each image takes; None where none takes any.
    """

    images: Tensor | None
    image_ids: Ints
    labels: Ints
    draws: AugmentDraws
    styles: StyleDraws | None

    def __len__(self) -> int:
        """How many items are loaded: on a device the style photos are items too, behind the images."""
        return len(self.image_ids) + (len(self.styled) if self.images is None else 0)

    @cached_property
    def styled(self) -> Ints:
        """Positions of the images that take a style, int64 (s,)."""
        return np.empty(0, dtype=np.int64) if self.styles is None else self.styles.styled

    @cached_property
    def crops(self) -> CropDraws:
        """How each original is cropped: the images, and behind them the style photos of `styled`."""
        if self.styles is None:
            return self.draws.crop
        return self.draws.crop.followed_by(self.styles.crop.rows(self.styled))


@dataclass(frozen=True)
class Loaded:
    """One batch that has been read; `originals` are left to augment if the device does that.

    Attributes:
        plan: What was read.
        originals: Images of equal size together, uint8 (n, 3, h, w), with their positions among the items.
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
    styles: ImageIndex | None

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
        styles = None
        if self.styles is not None:
            styles = draw_styles(
                trial.augment, trial.seed, self.epoch, positions, num_styles=len(self.styles)
            )
        if self.augment_on_device:
            return Plan(None, image_ids, labels, draws, styles)
        shape = (len(image_ids), 3, trial.image_px, trial.image_px)
        with _on(self.device):
            images = torch.empty(shape, pin_memory=self.device.type == "cuda")
        return Plan(images, image_ids, labels, draws, styles)

    def load(self, plan: Plan, position: int) -> Tensor:
        """Read one item: a photo or style, uint8 (3, h, w), or its place in `plan.images`, filled."""
        if position >= len(plan.image_ids):
            return self._read_style(plan, int(plan.styled[position - len(plan.image_ids)]))
        original = self.index.read(int(plan.image_ids[position]))
        if plan.images is None:
            return original
        this, px = slice(position, position + 1), self.trial.image_px
        crop = crop_and_flip(original, plan.draws.crop.rows(this), px)[None]
        if plan.styles is not None and plan.styles.style_ids[position] >= 0:
            style = crop_and_flip(self._read_style(plan, position), plan.styles.crop.rows(this), px)
            crop = in_style_of(crop, style[None], self.trial.augment.fda_beta)
        image = color_jitter(crop, plan.draws.jitter.rows(this), out=plan.images[this])
        return warp(image, plan.draws.perspective.rows(this))

    def _read_style(self, plan: Plan, position: int) -> Tensor:
        """Read the photo whose style the image at `position` takes, uint8 (3, h, w)."""
        assert self.styles is not None
        assert plan.styles is not None
        return self.styles.read(int(plan.styles.style_ids[position]))

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
        source, plan = self._source, loaded.plan
        if plan.images is not None:
            return plan.images.to(source.device, non_blocking=True)
        crops = self._crops(loaded)
        images, styles = crops[: len(plan.image_ids)], crops[len(plan.image_ids) :]
        if len(styles):
            images = _restyled(images, plan.styled, styles, source.trial.augment.fda_beta)
        images = color_jitter(images, plan.draws.jitter, compile=source.trial.compile)
        return warp(images, plan.draws.perspective)

    def _crops(self, loaded: Loaded) -> Tensor:
        """Crops of all items, uint8 (len(plan), 3, px, px) on the device."""
        device, out_px = self._source.device, self._source.trial.image_px
        crops = torch.empty((len(loaded.plan), 3, out_px, out_px), dtype=torch.uint8, device=device)
        for positions, originals in loaded.originals:
            moved = originals.to(device, non_blocking=True)
            places = torch.from_numpy(positions).to(device)
            crops[places] = crop_and_flip_batch(moved, loaded.plan.crops.rows(positions), out_px)
        return crops


def _restyled(images: Tensor, positions: Ints, styles: Tensor, beta: float) -> Tensor:
    """Images uint8 (b, 3, px, px) of which those at `positions` take a style each, float32 in [0, 1]."""
    places = torch.from_numpy(positions).to(images.device)
    result = images.float().div_(255)
    result[places] = in_style_of(images[places], styles, beta)
    return result
