"""Training batches that take styles and perspective, item by item against plain functions and the draws."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as reference

from tests.data.test_fda import plainly as plain_fda
from tests.data.test_training_set import make_group, make_index, read
from vgsearch.config.trial import AugmentConfig, TrialConfig
from vgsearch.data.augment import draw_augmentation
from vgsearch.data.draws import Salt
from vgsearch.data.image_batches import Plan
from vgsearch.data.index import ImageIndex
from vgsearch.data.perspective import corner_points
from vgsearch.data.resized_crop import CropDraws, crop_boxes
from vgsearch.data.training_set import TargetBatches, TrainingBatches
from vgsearch.errors import DataError

CPU = torch.device("cpu")
BETA, PX = 0.1, 32
CALM = {"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}
TRIAL = TrialConfig(
    image_px=PX,
    batch_size=3,
    iterations_per_epoch=6,
    seed=5,
    augment=AugmentConfig(
        **CALM, hflip=0.5, perspective=0.4, perspective_probability=0.5, fda_beta=BETA, fda_probability=0.6
    ),
)


@pytest.fixture
def index(tmp_path: Path) -> ImageIndex:
    sizes = [(40, 48), (64, 64), (20, 90)]
    (tmp_path / "photos").mkdir()
    return make_index(tmp_path / "photos", [sizes[i % 3] for i in range(21)])


@pytest.fixture
def styles(tmp_path: Path) -> ImageIndex:
    (tmp_path / "styles").mkdir()
    return make_index(tmp_path / "styles", [(50, 30), (40, 48), (33, 70), (64, 64)])


def batches_of(index: ImageIndex, styles: ImageIndex | None, trial: TrialConfig = TRIAL, **options):
    options = {"epoch": 1, "threads": 2, "device": CPU, **options}
    return TrainingBatches(index, make_group(), trial, styles=styles, **options)


def cropped(image: Tensor, crop: CropDraws, row: int) -> Tensor:
    one = crop.rows(slice(row, row + 1))
    image = reference.resized_crop(image, *crop_boxes(one, *image.shape[1:])[0].tolist(), size=[PX, PX])
    return image.flip(-1) if one.flip[0] else image


def expected_item(plan: Plan, row: int, index: ImageIndex, styles: ImageIndex) -> Tensor:
    assert plan.styles is not None
    image = cropped(read(index, int(plan.image_ids[row])), plan.draws.crop, row).float()
    style_id = int(plan.styles.style_ids[row])
    if style_id >= 0:
        style = cropped(read(styles, style_id), plan.styles.crop, row)
        image = torch.from_numpy(plain_fda(image.double().numpy(), style.double().numpy(), BETA)).float()
    image = image.clamp(0, 255) / 255
    perspective = plan.draws.perspective
    if perspective.applies[row]:
        corners = [[0, 0], [PX - 1, 0], [PX - 1, PX - 1], [0, PX - 1]]
        moved = corner_points(perspective.rows(slice(row, row + 1)), PX, PX)[0].tolist()
        image = reference.perspective(image, corners, moved, fill=None)
    return image


def test_items_are_styled_and_distorted_as_drawn(index: ImageIndex, styles: ImageIndex) -> None:
    batches = batches_of(index, styles)
    styled = distorted = 0
    for number, (images, _) in enumerate(batches):
        plan = batches._source.plan(number)
        for row, image in enumerate(images):
            torch.testing.assert_close(image, expected_item(plan, row, index, styles), atol=2e-3, rtol=0)
        styled += len(plan.styled)
        distorted += int(plan.draws.perspective.applies.sum())
    assert 0 < styled < 18
    assert 0 < distorted < 18


def test_on_the_device_as_in_the_threads(index: ImageIndex, styles: ImageIndex) -> None:
    for number, ((images, labels), (device_images, device_labels)) in enumerate(
        zip(batches_of(index, styles), batches_of(index, styles, augment_on_device=True), strict=True)
    ):
        assert torch.equal(labels, device_labels)
        difference = (images - device_images).abs() * 255
        assert difference.mean() < 0.5, number
        assert difference.max() < 6  # a grey level of a crop moves phases of weak coefficients


@pytest.mark.parametrize("augment_on_device", [False, True])
def test_threads_change_nothing(index: ImageIndex, styles: ImageIndex, augment_on_device: bool) -> None:
    runs = [batches_of(index, styles, threads=n, augment_on_device=augment_on_device) for n in (1, 3)]
    for (images, _), (other, _) in zip(*runs, strict=True):
        assert torch.equal(images, other)


def test_without_a_beta_nothing_changes_and_no_style_is_read(index: ImageIndex) -> None:
    broken = replace(index, root=Path("/nowhere"))
    plain = TRIAL.model_copy(update={"augment": TRIAL.augment.model_copy(update={"fda_beta": 0.0})})
    never = TRIAL.model_copy(update={"augment": TRIAL.augment.model_copy(update={"fda_probability": 0.0})})
    runs = [
        batches_of(index, None, plain),
        batches_of(index, broken, plain),
        batches_of(index, broken, never),
    ]
    for (images, _), *others in zip(*runs, strict=True):
        assert all(torch.equal(images, other) for other, _ in others)


def test_new_draws_leave_the_old_ones_as_they_were() -> None:
    # Recorded before perspective and styles had draws: a trial of then is repeated by a trial of now.
    draws = draw_augmentation(AugmentConfig(), 3, 1, np.array([0, 7]), salt=Salt.AUGMENT)
    np.testing.assert_allclose(
        draws.crop.area_fraction[:, 0], [0.5530866521885258, 0.8052223483012622], rtol=1e-12
    )
    np.testing.assert_allclose(
        draws.jitter.factors,
        [
            [0.6994795203208923, 0.4538309574127197, 0.684302806854248, -0.3132648766040802],
            [0.6502869129180908, 1.678540825843811, 1.6311858892440796, 0.38514041900634766],
        ],
        rtol=1e-6,
    )


def test_target_photos_keep_their_own_style(index: ImageIndex) -> None:
    plain = TRIAL.model_copy(update={"augment": TRIAL.augment.model_copy(update={"fda_beta": 0.0})})
    runs = [
        TargetBatches(index, trial, batch_size=4, epoch=0, threads=1, device=CPU) for trial in (TRIAL, plain)
    ]
    for images, others in zip(*runs, strict=True):
        assert torch.equal(images, others)


def test_no_photos_to_take_a_style_from(index: ImageIndex) -> None:
    with pytest.raises(DataError, match=r"trial\.augment\.fda_beta is 0\.1 .* set data\.target_domain"):
        batches_of(index, None)
    with pytest.raises(DataError, match=r"holds no image for data\.target_domain"):
        batches_of(index, replace(index, paths=()))
