"""Training augmentation as a function of (seed, epoch, index): one set of draws for an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vgsearch.config.trial import AugmentConfig
from vgsearch.data import color_jitter, perspective, resized_crop
from vgsearch.data.draws import Salt, random_uniforms
from vgsearch.data.perspective import PerspectiveDraws


@dataclass(frozen=True)
class AugmentDraws:
    """What happens to each of b images: first the crop and flip, then the colour jitter, then perspective."""

    crop: resized_crop.CropDraws
    jitter: color_jitter.JitterDraws
    perspective: PerspectiveDraws

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
    counts = [resized_crop.NUM_UNIFORMS, color_jitter.NUM_UNIFORMS, perspective.NUM_UNIFORMS]
    uniforms = random_uniforms((salt, seed, epoch), index, sum(counts))
    for_crop, for_jitter, for_perspective = np.split(uniforms, np.cumsum(counts)[:-1], axis=1)
    return AugmentDraws(
        crop=resized_crop.draw_crop(for_crop, scale_min=config.crop_scale_min, hflip=config.hflip),
        jitter=color_jitter.draw_jitter(
            for_jitter,
            brightness=config.brightness,
            contrast=config.contrast,
            saturation=config.saturation,
            hue=config.hue,
        ),
        perspective=perspective.draw_perspective(
            for_perspective,
            distortion_scale=config.perspective,
            probability=config.perspective_probability,
        ),
    )
