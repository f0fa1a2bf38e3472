"""Crops against torchvision's, and their sizes against the photos that they are cut from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from vgsearch.data.framing import OWN_SIZE, Framing, covering_size, resized_size
from vgsearch.data.resize import resize_shorter_side

SIDES = st.integers(1, 90)
TARGETS = st.integers(16, 50)
FRAMINGS = st.one_of(
    st.just(OWN_SIZE),
    TARGETS.map(lambda side: Framing("shorter_side", side, side)),
    TARGETS.map(lambda side: Framing("five_crops", side, side)),
    st.builds(Framing, st.sampled_from(["exact", "central_crop"]), TARGETS, TARGETS),
)


def photo(height_px: int, width_px: int) -> torch.Tensor:
    rng = np.random.default_rng([height_px, width_px])
    return torch.from_numpy(rng.integers(0, 256, (3, height_px, width_px), dtype=np.uint8))


def assert_same_but_for_rounding(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """Of noise, a crop that is off by one pixel differs everywhere."""
    assert ours.shape == theirs.shape
    assert int((ours.int() - theirs.int()).abs().max()) <= 1


@settings(deadline=None)
@given(SIDES, SIDES, FRAMINGS)
def test_pictures_have_the_size_that_was_foretold(height_px: int, width_px: int, framing: Framing) -> None:
    views = framing.views(photo(height_px, width_px))
    assert len(views) == framing.num_views
    for view in views:
        assert view.dtype == torch.uint8
        assert tuple(view.shape) == (3, *framing.size_px(height_px, width_px))


@given(SIDES, SIDES, TARGETS)
def test_sizes_are_foretold_as_resizing_makes_them(height_px: int, width_px: int, resize_px: int) -> None:
    image = torch.zeros((3, height_px, width_px), dtype=torch.uint8)
    assert resized_size(height_px, width_px, resize_px) == resize_shorter_side(image, resize_px).shape[1:]
    assert resized_size(height_px, width_px, None) == (height_px, width_px)


@given(SIDES, SIDES, TARGETS, TARGETS)
def test_the_covering_size_covers_with_nothing_to_spare(h: int, w: int, to_h: int, to_w: int) -> None:
    height_px, width_px = covering_size(h, w, to_h, to_w)
    assert height_px >= to_h
    assert width_px >= to_w
    assert height_px == to_h or width_px == to_w
    # The aspect ratio is kept to less than a pixel of the longer side.
    assert abs(height_px * w - width_px * h) < max(h, w)


@pytest.mark.parametrize(
    ("height_px", "width_px"), [(48, 64), (64, 48), (33, 70), (71, 34), (20, 20), (7, 90)]
)
@pytest.mark.parametrize("side_px", [20, 31])
def test_five_crops_are_those_of_torchvision(height_px: int, width_px: int, side_px: int) -> None:
    image = photo(height_px, width_px)
    expected = F.five_crop(F.resize(image, side_px, antialias=True), side_px)
    for ours, theirs in zip(Framing("five_crops", side_px, side_px).views(image), expected, strict=True):
        assert_same_but_for_rounding(ours, theirs)


@pytest.mark.parametrize(("height_px", "width_px"), [(48, 64), (64, 48), (33, 70), (71, 34), (20, 20)])
@pytest.mark.parametrize("target", [(24, 32), (33, 21), (30, 30)])
def test_the_central_crop_is_that_of_torchvision(
    height_px: int, width_px: int, target: tuple[int, int]
) -> None:
    image = photo(height_px, width_px)
    scale = max(target[0] / height_px, target[1] / width_px)
    size = [int(height_px * scale + 1e-9), int(width_px * scale + 1e-9)]
    expected = F.center_crop(F.resize(image, size, antialias=True), list(target))
    (ours,) = Framing("central_crop", *target).views(image)
    assert_same_but_for_rounding(ours, expected)


def test_a_photo_of_the_target_size_is_left_alone() -> None:
    image = photo(24, 32)
    for kind in ("exact", "central_crop"):
        (view,) = Framing(kind, 24, 32).views(image)
        assert torch.equal(view, image)
