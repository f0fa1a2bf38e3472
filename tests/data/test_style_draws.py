"""Whose style an image takes depends on (seed, epoch, index) alone."""

from __future__ import annotations

import numpy as np

from vgsearch.config.trial import AugmentConfig
from vgsearch.data.style_draws import draw_styles

CONFIG = AugmentConfig(fda_beta=0.01, fda_probability=0.6)


def ids(seed: int, epoch: int, index: range, num_styles: int = 9) -> list[int]:
    return draw_styles(CONFIG, seed, epoch, np.array(index), num_styles=num_styles).style_ids.tolist()


def test_draws_do_not_depend_on_the_batch() -> None:
    whole = ids(3, 1, range(40))
    assert [*ids(3, 1, range(7)), *ids(3, 1, range(7, 40))] == whole
    assert ids(4, 1, range(40)) != whole
    assert ids(3, 2, range(40)) != whole


def test_every_photo_is_as_likely_and_the_probability_holds() -> None:
    draws = draw_styles(CONFIG, 0, 0, np.arange(9000), num_styles=9)
    assert len(draws) == len(draws.crop) == 9000
    assert 0.58 < len(draws.styled) / 9000 < 0.62
    counts = np.bincount(draws.style_ids[draws.styled], minlength=9)
    assert counts.min() > 500
    assert counts.sum() == len(draws.styled)
    assert draws.crop.area_fraction.min() >= CONFIG.crop_scale_min
    assert not draws.crop.flip.any()


def test_probability_1_and_0() -> None:
    always = CONFIG.model_copy(update={"fda_probability": 1.0})
    assert len(draw_styles(always, 0, 0, np.arange(500), num_styles=1).styled) == 500
    never = CONFIG.model_copy(update={"fda_probability": 0.0})
    assert len(draw_styles(never, 0, 0, np.arange(500), num_styles=1).styled) == 0
