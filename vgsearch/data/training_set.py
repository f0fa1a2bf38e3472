"""Training batches: the classes of a cell group, and unlabelled images of a target domain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vgsearch.config.trial import TrialConfig
from vgsearch.data.cells import CellGroup
from vgsearch.data.draws import Salt, random_uniforms
from vgsearch.data.image_batches import AugmentedBatches, ImageSource, Ints, Loaded
from vgsearch.data.index import ImageIndex
from vgsearch.data.sampling import MixedStream, ShuffledStream, even_shares
from vgsearch.errors import CellsError, DataError


@dataclass(frozen=True)
class _ClassImages(ImageSource):
    """An item is a class, and one of its images at random."""

    group: CellGroup

    augment_salt = Salt.AUGMENT

    def choose(self, number: int) -> tuple[Ints, Ints]:
        classes = self.stream.batch(number)
        key = (Salt.IMAGE_OF_CLASS, self.trial.seed, self.epoch)
        uniforms = random_uniforms(key, self.stream.positions(number), 1)[:, 0]
        starts, ends = self.group.offsets[classes], self.group.offsets[classes + 1]
        return self.group.image_ids[starts + (uniforms * (ends - starts)).astype(np.int64)], classes


@dataclass(frozen=True)
class _TargetImages(ImageSource):
    """An item is an image."""

    augment_salt = Salt.TARGET_AUGMENT

    def choose(self, number: int) -> tuple[Ints, Ints]:
        image_ids = self.stream.batch(number)
        return image_ids, np.zeros_like(image_ids)


class TrainingBatches(AugmentedBatches[tuple[Tensor, Tensor]]):
    """An epoch's batches of one cell group, augmented and on the device.

    Classes come as from an endless shuffled loader that drops its last, incomplete batch: a pass visits each
    class once (up to `batch_size - 1` of them not at all). Everything random derives from the trial's seed,
    the epoch and the position within the epoch; the number of threads changes nothing.

    Iterating yields pairs:
        images: float32 (b, 3, px, px) in [0, 1], not normalised, on `device`.
        labels: int64 (b,), class numbers of the group, on `device`.
    """

    def __init__(
        self,
        index: ImageIndex,
        group: CellGroup,
        trial: TrialConfig,
        *,
        epoch: int,
        threads: int,
        device: torch.device,
        augment_on_device: bool | None = None,
        styles: ImageIndex | None = None,
    ) -> None:
        """Describe the batches; threads start with the iteration.

        Args:
            index: The training images.
            group: Classes over `index`.
            trial: Gives batch size, image size, augmentation, iterations per epoch and seed.
            epoch: >= 0.
            threads: Loader threads, >= 1.
            device: Where the batches go.
            augment_on_device: Augment whole batches there, instead of single images in the threads; by
                default on CUDA. `trial.compile` then compiles the colour jitter too.
            styles: Photos whose style the images take where `trial.augment.fda_beta` is above 0.

        Raises:
            DataError: The group has fewer classes than a batch, or there is no photo to take a style from.
            ImageError: While iterating, an image that cannot be read.
        """
        if group.num_classes < trial.batch_size:
            raise CellsError(
                f"a group of {index.root} has {group.num_classes} classes, too few for one batch: lower "
                f"trial.batch_size (now {trial.batch_size}) or trial.cells.min_images "
                f"(now {trial.cells.min_images})"
            )
        stream = ShuffledStream(
            group.num_classes,
            trial.batch_size,
            seed=trial.seed,
            epoch=epoch,
            salt=Salt.CLASS_ORDER,
            drop_last=True,
        )
        augment_on_device = device.type == "cuda" if augment_on_device is None else augment_on_device
        styles = require_styles(trial, styles)
        super().__init__(
            _ClassImages(index, trial, epoch, stream, device, augment_on_device, styles, group), threads
        )

    def _finish(self, loaded: Loaded) -> tuple[Tensor, Tensor]:
        labels = torch.from_numpy(loaded.plan.labels).to(self._source.device, non_blocking=True)
        return self._images(loaded), labels


class TargetBatches(AugmentedBatches[Tensor]):
    """An epoch's batches of unlabelled images, augmented like the training images with draws of their own.

    Images come pass after pass, each pass in a new order; they may be of any size and fewer than a batch.
    Several domains share each batch evenly (see `even_shares`), domain after domain, and every domain has
    passes of its own, however many images it has.

    Iterating yields float32 (b, 3, px, px) in [0, 1], not normalised, on `device`.
    """

    def __init__(
        self,
        index: ImageIndex,
        trial: TrialConfig,
        *,
        batch_size: int,
        epoch: int,
        threads: int,
        device: torch.device,
        augment_on_device: bool | None = None,
        domain_sizes: Sequence[int] | None = None,
    ) -> None:
        """Describe the batches; what is not said here is as in `TrainingBatches`.

        Args:
            index: The images, domain after domain.
            trial: Gives image size, augmentation, iterations per epoch and seed.
            batch_size: Images of all domains together, at least one for each.
            epoch: >= 0.
            threads: Loader threads, >= 1.
            device: Where the batches go.
            augment_on_device: See there.
            domain_sizes: How many images of `index` belong to each domain; None for a single one.

        Raises:
            DataError: The index, or a domain, is empty.
            ImageError: While iterating, an image that cannot be read.
        """
        sizes = [len(index)] if domain_sizes is None else list(domain_sizes)
        if 0 in sizes:
            raise DataError(
                f"{index.root} holds no image for data.target_domain; name another folder or null"
            )
        parts = [
            ShuffledStream(
                size,
                share,
                seed=trial.seed,
                epoch=epoch,
                salt=Salt.TARGET_ORDER,
                drop_last=False,
                part=part,
            )
            for part, (size, share) in enumerate(zip(sizes, even_shares(batch_size, len(sizes)), strict=True))
        ]
        stream = parts[0] if len(parts) == 1 else MixedStream(parts, sizes)
        augment_on_device = device.type == "cuda" if augment_on_device is None else augment_on_device
        # They are of the domain whose style others take: in the authors' code too they keep their own.
        super().__init__(_TargetImages(index, trial, epoch, stream, device, augment_on_device, None), threads)

    def _finish(self, loaded: Loaded) -> Tensor:
        return self._images(loaded)


def require_styles(trial: TrialConfig, styles: ImageIndex | None) -> ImageIndex | None:
    """The photos whose style training images take; None where the trial takes none.

    Raises:
        DataError: The trial takes styles and there is no photo to take one from.
    """
    if not trial.augment.takes_styles:
        return None
    if styles is None:
        raise DataError(
            f"trial.augment.fda_beta is {trial.augment.fda_beta:g} and needs photos whose style to take: set "
            "data.target_domain to their folder, or fda_beta to 0"
        )
    if len(styles) == 0:
        raise DataError(f"{styles.root} holds no image for data.target_domain; name another folder or null")
    return styles
