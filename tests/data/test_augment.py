"""An item's augmentation depends on (seed, epoch, index) alone."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from vgsearch.config.trial import AugmentConfig
from vgsearch.data.augment import AugmentDraws, draw_augmentation
from vgsearch.data.draws import Salt

CONFIG = AugmentConfig(hflip=0.5)


def columns(draws: AugmentDraws) -> np.ndarray:
    crop, jitter = draws.crop, draws.jitter
    parts = [crop.area_fraction, crop.aspect, crop.position, crop.flip[:, None], jitter.factors, jitter.order]
    return np.concatenate(parts, axis=1)


def test_draws_do_not_depend_on_the_batch() -> None:
    whole = columns(draw_augmentation(CONFIG, 3, 1, np.arange(50)))
    assert len(whole) == 50
    for start, end in pairwise([0, 1, 8, 30, 50]):
        part = columns(draw_augmentation(CONFIG, 3, 1, np.arange(start, end)))
        np.testing.assert_array_equal(part, whole[start:end])


def test_seed_epoch_index_and_salt_each_change_the_draws() -> None:
    base = columns(draw_augmentation(CONFIG, 3, 1, np.arange(4)))
    others = [
        draw_augmentation(CONFIG, 4, 1, np.arange(4)),
        draw_augmentation(CONFIG, 3, 2, np.arange(4)),
        draw_augmentation(CONFIG, 3, 1, np.arange(4, 8)),
        draw_augmentation(CONFIG, 3, 1, np.arange(4), salt=Salt.TARGET_AUGMENT),
    ]
    for other in others:
        assert (columns(other)[:, :22] != base[:, :22]).all()


def test_ranges_follow_the_configuration() -> None:
    config = AugmentConfig(
        brightness=0.1, contrast=0.2, saturation=1.5, hue=0.05, crop_scale_min=0.8, hflip=0
    )
    draws = draw_augmentation(config, 0, 0, np.arange(5000))
    low, high = draws.jitter.factors.min(axis=0), draws.jitter.factors.max(axis=0)
    np.testing.assert_allclose(low, [0.9, 0.8, 0.0, -0.05], atol=2e-3)
    np.testing.assert_allclose(high, [1.1, 1.2, 2.5, 0.05], atol=2e-3)
    assert draws.crop.area_fraction.min() >= 0.8
    assert draws.crop.area_fraction.max() <= 1
    assert draws.crop.aspect.min() >= 0.75
    assert draws.crop.aspect.max() <= 4 / 3
    assert not draws.crop.flip.any()
