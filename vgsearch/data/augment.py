"""Training augmentation as a function of (seed, epoch, index): one set of draws for crop, flip and colour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vgsearch.config.trial import AugmentConfig
from vgsearch.data import color_jitter, resized_crop
from vgsearch.data.draws import Salt, random_uniforms


@dataclass(frozen=True)
class AugmentDraws:
    """What happens to each of b images: first the crop and flip, then the colour jitter."""

    crop: resized_crop.CropDraws
    jitter: color_jitter.JitterDraws

    def __len__(self) -> int:
        return len(self.crop)


def draw_augmentation(
    config: AugmentConfig,
    seed: int,
    epoch: int,
    index: npt.NDArray[np.int64],
    *,
    salt: Salt = Salt.AUGMENT,
) -> AugmentDraws:
    """Draw the augmentation of items; an item's draws depend on (seed, epoch, its index) and nothing else.

    Args:
        config: Strengths.
        seed: The trial's seed, >= 0.
        epoch: >= 0.
        index: int64 (b,), positions of the items within the epoch, >= 0.
        salt: Keeps streams for different purposes apart.

    Returns:
        Draws with b rows.
    """
    split = resized_crop.NUM_UNIFORMS
    uniforms = random_uniforms((salt, seed, epoch), index, split + color_jitter.NUM_UNIFORMS)
    return AugmentDraws(
        crop=resized_crop.draw_crop(uniforms[:, :split], scale_min=config.crop_scale_min, hflip=config.hflip),
        jitter=color_jitter.draw_jitter(
            uniforms[:, split:],
            brightness=config.brightness,
            contrast=config.contrast,
            saturation=config.saturation,
            hue=config.hue,
        ),
    )
