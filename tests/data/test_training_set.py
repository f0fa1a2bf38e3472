"""Training and target batches, item by item against what the draws say, and their life with threads."""

from __future__ import annotations

import gc
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as reference

from vgsearch.config.trial import AugmentConfig, CellsConfig, TrialConfig
from vgsearch.data.augment import draw_augmentation
from vgsearch.data.cells import CellGroup
from vgsearch.data.draws import Salt
from vgsearch.data.index import ImageIndex
from vgsearch.data.resized_crop import crop_boxes
from vgsearch.data.training_set import TargetBatches, TrainingBatches
from vgsearch.errors import DataError, ImageError

CPU = torch.device("cpu")
NUM_CLASSES, IMAGES_PER_CLASS = 7, 3
TRIAL = TrialConfig(
    image_px=32,
    batch_size=3,
    iterations_per_epoch=6,
    seed=5,
    augment=AugmentConfig(hflip=0.5),
    cells=CellsConfig(min_images=3),
)


def make_index(root: Path, sizes: list[tuple[int, int]]) -> ImageIndex:
    """Write images whose mean colour tells their number."""
    rng = np.random.default_rng(0)
    paths = []
    for number, (height, width) in enumerate(sizes):
        coarse = rng.integers(0, 200, (6, 6, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        paths.append(f"{number:03d}.png")
        image.save(root / paths[-1])
    nothing = np.full(len(paths), np.nan)
    return ImageIndex(root, tuple(paths), nothing, nothing, nothing, "fingerprint")


@pytest.fixture
def index(tmp_path: Path) -> ImageIndex:
    return make_index(tmp_path, [(40, 48)] * (NUM_CLASSES * IMAGES_PER_CLASS))


@pytest.fixture
def mixed_index(tmp_path: Path) -> ImageIndex:
    sizes = [(40, 48), (64, 64), (20, 90)]
    return make_index(tmp_path, [sizes[i % 3] for i in range(NUM_CLASSES * IMAGES_PER_CLASS)])


def make_group(num_classes: int = NUM_CLASSES) -> CellGroup:
    image_ids = np.random.default_rng(1).permutation(num_classes * IMAGES_PER_CLASS)
    offsets = np.arange(num_classes + 1) * IMAGES_PER_CLASS
    return CellGroup(np.zeros((num_classes, 3), dtype=np.int64), offsets, image_ids)


def batches_of(
    index: ImageIndex, trial: TrialConfig = TRIAL, *, epoch: int = 0, threads: int = 2, **options
) -> TrainingBatches:
    return TrainingBatches(index, make_group(), trial, epoch=epoch, threads=threads, device=CPU, **options)


def read(index: ImageIndex, image_id: int) -> Tensor:
    with Image.open(index.absolute(image_id)) as image:
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


def plainly_augmented(image: Tensor, position: int, *, epoch: int, salt: Salt) -> Tensor:
    """Augment one image with torchvision's functions and the draws of its position."""
    draws = draw_augmentation(TRIAL.augment, TRIAL.seed, epoch, np.array([position]), salt=salt)
    box = crop_boxes(draws.crop, *image.shape[1:])[0].tolist()
    image = reference.resized_crop(image, *box, size=[TRIAL.image_px] * 2, antialias=True)
    image = image.flip(-1) if draws.crop.flip[0] else image
    image = image / 255
    functions = [
        reference.adjust_brightness,
        reference.adjust_contrast,
        reference.adjust_saturation,
        reference.adjust_hue,
    ]
    for column in draws.jitter.order[0]:
        image = functions[column](image, float(draws.jitter.factors[0, column]))
    return image


def loader_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("vgsearch-loader")]


@pytest.fixture(autouse=True)
def _no_thread_stays() -> object:
    yield
    end = time.monotonic() + 5
    while loader_threads() and time.monotonic() < end:
        time.sleep(0.005)
    assert not loader_threads()


def test_items_are_an_image_of_their_class_augmented_by_their_position(mixed_index: ImageIndex) -> None:
    group = make_group()
    position = 0
    for images, labels in batches_of(mixed_index, epoch=2):
        assert images.shape == (3, 3, 32, 32)
        assert images.dtype == torch.float32
        assert labels.dtype == torch.int64
        for image, label in zip(images, labels.tolist(), strict=True):
            # Which of the class's images it is must be found out: exactly one must fit.
            fits = [
                torch.allclose(
                    image,
                    plainly_augmented(read(mixed_index, i), position, epoch=2, salt=Salt.AUGMENT),
                    atol=1e-4,
                    rtol=0,
                )
                for i in group.images_of(label).tolist()
            ]
            assert sum(fits) == 1
            position += 1
    assert position == 18


def test_a_pass_visits_classes_once_and_all_images_are_met(index: ImageIndex) -> None:
    trial = TRIAL.model_copy(update={"iterations_per_epoch": 60})
    batches = batches_of(index, trial)
    assert len(batches) == 60
    seen: set[int] = set()
    plans = [batches._source.plan(number) for number in range(60)]
    for first, second in zip(plans[::2], plans[1::2], strict=True):  # 7 classes: two batches of 3 a pass
        assert len({*first.labels.tolist(), *second.labels.tolist()}) == 6
        seen.update(first.image_ids.tolist(), second.image_ids.tolist())
    assert len(seen) == NUM_CLASSES * IMAGES_PER_CLASS


@pytest.mark.parametrize("augment_on_device", [False, True])
def test_threads_change_nothing(mixed_index: ImageIndex, augment_on_device: bool) -> None:
    runs = [list(batches_of(mixed_index, threads=n, augment_on_device=augment_on_device)) for n in (1, 3)]
    for (images, labels), (other_images, other_labels) in zip(*runs, strict=True):
        assert torch.equal(images, other_images)
        assert torch.equal(labels, other_labels)


def test_an_epoch_can_be_repeated_and_does_not_depend_on_earlier_ones(index: ImageIndex) -> None:
    batches = batches_of(index, epoch=3)
    first, again = list(batches), list(batches)
    fresh = list(batches_of(index, epoch=3))
    other = list(batches_of(index, epoch=4))
    longer = list(batches_of(index, TRIAL.model_copy(update={"iterations_per_epoch": 8}), epoch=3))
    for i, (images, labels) in enumerate(first):
        for repeated in (again, fresh, longer):
            assert torch.equal(images, repeated[i][0])
            assert torch.equal(labels, repeated[i][1])
        assert not torch.equal(images, other[i][0])


def test_an_item_does_not_depend_on_the_batch_size_or_its_neighbours(index: ImageIndex) -> None:
    # Targets keep every item, so the same stream can be cut in two ways.
    def stream(batch_size: int) -> Tensor:
        return torch.cat(
            list(TargetBatches(index, TRIAL, batch_size=batch_size, epoch=0, threads=2, device=CPU))
        )

    assert torch.equal(stream(3), stream(5)[: 3 * 6])


def test_augmenting_on_the_device_agrees_with_the_threads(mixed_index: ImageIndex) -> None:
    calm = TRIAL.model_copy(
        update={"augment": AugmentConfig(brightness=0, contrast=0, saturation=0, hue=0, hflip=0.5)}
    )
    for (images, labels), (device_images, device_labels) in zip(
        batches_of(mixed_index, calm, augment_on_device=False),
        batches_of(mixed_index, calm, augment_on_device=True),
        strict=True,
    ):
        difference_in_grey_levels = (images - device_images).abs() * 255
        assert difference_in_grey_levels.mean() < 0.5
        assert difference_in_grey_levels.max() < 2.01
        assert torch.equal(labels, device_labels)


def test_targets_are_augmented_with_draws_of_their_own(mixed_index: ImageIndex) -> None:
    few = mixed_index.subset([0, 4, 5])
    batches = TargetBatches(few, TRIAL, batch_size=5, epoch=1, threads=2, device=CPU)
    stacked = torch.cat(list(batches))
    assert stacked.shape == (30, 3, 32, 32)
    counts = np.zeros(3, dtype=int)
    for position, image in enumerate(stacked):
        candidates = [
            plainly_augmented(read(few, i), position, epoch=1, salt=Salt.TARGET_AUGMENT) for i in range(3)
        ]
        fits = [torch.allclose(image, candidate, atol=1e-4, rtol=0) for candidate in candidates]
        assert sum(fits) == 1
        counts += fits
    assert counts.tolist() == [10, 10, 10]


def test_domains_share_each_batch_and_have_passes_of_their_own(mixed_index: ImageIndex) -> None:
    sizes, shares = (3, 9, 2), (2, 2, 1)
    few = mixed_index.subset(np.arange(sum(sizes)))
    trial = TRIAL.model_copy(update={"iterations_per_epoch": 18})
    batches = TargetBatches(
        few, trial, batch_size=5, epoch=1, threads=2, device=CPU, domain_sizes=sizes, augment_on_device=False
    )
    chosen = np.stack([batches._source.plan(number).image_ids for number in range(18)])
    columns = np.split(chosen, np.cumsum(shares)[:-1], axis=1)
    firsts = np.cumsum((0, *sizes))
    for column, size, first in zip(columns, sizes, firsts[:-1], strict=True):
        visits = column.reshape(-1) - first
        for start in range(0, len(visits) // size * size, size):
            assert sorted(visits[start : start + size].tolist()) == list(range(size))
    first_batch = next(iter(batches))
    for position, (image, image_id) in enumerate(zip(first_batch, chosen[0].tolist(), strict=True)):
        expected = plainly_augmented(read(few, image_id), position, epoch=1, salt=Salt.TARGET_AUGMENT)
        torch.testing.assert_close(image, expected, atol=1e-4, rtol=0)


def test_one_domain_is_as_it_was_without_naming_it(index: ImageIndex) -> None:
    plans = [
        TargetBatches(index, TRIAL, batch_size=5, epoch=1, threads=1, device=CPU, domain_sizes=sizes)
        ._source.plan(2)
        .image_ids
        for sizes in (None, [len(index)])
    ]
    np.testing.assert_array_equal(*plans)


def test_domains_of_one_size_have_orders_of_their_own(index: ImageIndex) -> None:
    batches = TargetBatches(
        index, TRIAL, batch_size=20, epoch=0, threads=1, device=CPU, domain_sizes=[10, 11]
    )
    first, second = np.split(batches._source.plan(0).image_ids, 2)
    assert sorted(first.tolist()) == list(range(10))
    assert (first != second - 10).any()


def test_a_truncated_photo_surfaces_as_an_error_that_names_it(index: ImageIndex) -> None:
    broken = index.absolute(4)
    broken.write_bytes(broken.read_bytes()[:300])
    trial = TRIAL.model_copy(update={"iterations_per_epoch": 500})
    for _ in range(2):
        with pytest.raises(ImageError, match=r"004\.png: truncated"):
            list(batches_of(index, trial))
        assert not loader_threads()


def test_a_group_smaller_than_a_batch_names_the_settings(index: ImageIndex) -> None:
    trial = TRIAL.model_copy(update={"batch_size": 8})
    with pytest.raises(
        DataError, match=r"7 classes.*trial\.batch_size \(now 8\) or trial\.cells\.min_images"
    ):
        batches_of(index, trial)


def test_no_target_images(index: ImageIndex) -> None:
    empty = replace(index, paths=())
    with pytest.raises(DataError, match=r"data\.target_domain"):
        TargetBatches(empty, TRIAL, batch_size=2, epoch=0, threads=1, device=CPU)


def test_leaving_early_ends_the_threads(index: ImageIndex) -> None:
    trial = TRIAL.model_copy(update={"iterations_per_epoch": 10_000})
    with batches_of(index, trial) as batches:
        for _ in batches:
            break
    assert not loader_threads()
    iterator = iter(batches)
    next(iterator)
    batches.close()
    assert not loader_threads()
    assert list(iterator) == []
    abandoned = iter(batches_of(index, trial))
    next(abandoned)
    del abandoned
    gc.collect()  # the fixture sees to it that its threads end too
