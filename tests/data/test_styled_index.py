"""A styled index reads other pixels under other hashes, and is the plain one in everything else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.data.test_fda import plainly as plain_fda
from tests.data.test_training_set import make_index
from vgsearch.data.fda import in_style_of
from vgsearch.data.index import ImageIndex
from vgsearch.data.styled_index import beside_styled, in_style


@pytest.fixture
def photos(tmp_path: Path) -> ImageIndex:
    (tmp_path / "photos").mkdir()
    return make_index(tmp_path / "photos", [(40, 48), (64, 64), (20, 90), (40, 48), (31, 33)])


@pytest.fixture
def styles(tmp_path: Path) -> ImageIndex:
    (tmp_path / "styles").mkdir()
    return make_index(tmp_path / "styles", [(40, 48), (50, 30), (64, 64)])


def test_pixels_are_those_of_the_equations(photos: ImageIndex, styles: ImageIndex) -> None:
    styled = in_style(photos, styles, beta=0.1, seed=0)
    assert set(styled.style_ids.tolist()) <= {0, 1, 2}
    for i in range(len(photos)):
        plain, style = photos.read(i), styles.read(int(styled.style_ids[i]))
        if style.shape != plain.shape:
            style = torch.nn.functional.interpolate(
                style[None], plain.shape[1:], mode="bilinear", antialias=True
            )[0]
        expected = np.clip(plain_fda(plain.double().numpy(), style.double().numpy(), 0.1), 0, 255)
        result = styled.read(i)
        assert result.dtype == torch.uint8
        assert np.abs(result.numpy() - expected).max() < 0.51


def test_a_photo_of_the_same_size_is_taken_as_it_is(photos: ImageIndex, styles: ImageIndex) -> None:
    only = styles.subset([0])
    styled = in_style(photos, only, beta=0.2, seed=0)
    expected = in_style_of(photos.read(0)[None], styles.read(0)[None], 0.2)[0]
    assert torch.equal(styled.read(0), (expected * 255).round().to(torch.uint8))


def test_only_pixels_and_hashes_differ(photos: ImageIndex, styles: ImageIndex) -> None:
    styled = in_style(photos, styles, beta=0.1, seed=0)
    assert styled.paths == photos.paths
    assert styled.absolute(2) == photos.absolute(2)
    assert styled.utm_east is photos.utm_east
    assert "in the style of styles (FDA, beta 0.1)" in styled.title
    others = [
        photos,
        in_style(photos, styles, beta=0.2, seed=0),
        in_style(photos, styles, beta=0.1, seed=1),
        in_style(photos, styles.subset([0, 1]), beta=0.1, seed=0),
        beside_styled(photos, styles, beta=0.1, seed=0),
        styled.subset([0, 1, 2, 3, 4]),
    ]
    assert len({other.fingerprint for other in [styled, *others]}) == 7
    assert len({other.content_hash for other in [styled, *others[:5]]}) == 6
    assert others[5].content_hash == styled.content_hash  # the same images in the same order
    again = in_style(photos, styles, beta=0.1, seed=0)
    assert (again.fingerprint, again.content_hash) == (styled.fingerprint, styled.content_hash)


def test_a_subset_keeps_each_images_style(photos: ImageIndex, styles: ImageIndex) -> None:
    styled = in_style(photos, styles, beta=0.1, seed=0)
    few = styled.subset([4, 1])
    assert torch.equal(few.read(0), styled.read(4))
    assert torch.equal(few.read(1), styled.read(1))


def test_styled_copies_stand_behind_the_plain_images(photos: ImageIndex, styles: ImageIndex) -> None:
    both, styled = (make(photos, styles, beta=0.1, seed=3) for make in (beside_styled, in_style))
    assert len(both) == 2 * len(photos)
    for i in range(len(photos)):
        assert torch.equal(both.read(i), photos.read(i))
        assert torch.equal(both.read(len(photos) + i), styled.read(i))
    np.testing.assert_array_equal(both.utm_east, np.tile(photos.utm_east, 2))
