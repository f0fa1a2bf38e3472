"""Which photo of another domain lends its style to a training image, and which crop of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vgsearch.config.trial import AugmentConfig
from vgsearch.data import resized_crop
from vgsearch.data.draws import Salt, random_uniforms


@dataclass(frozen=True)
class StyleDraws:
    """What is drawn for each of b images.

    Attributes:
        style_ids: int64 (b,), rows of the index of style photos; -1 where the image keeps its own style.
        crop: how the style photo is cropped to the image's size, b rows.
    """

    style_ids: npt.NDArray[np.int64]
    crop: resized_crop.CropDraws

    def __len__(self) -> int:
        return len(self.style_ids)

    @property
    def styled(self) -> npt.NDArray[np.int64]:
        """Positions of the images that take a style, int64 (s,)."""
        return np.flatnonzero(self.style_ids >= 0)


def draw_styles(
    config: AugmentConfig, seed: int, epoch: int, index: npt.NDArray[np.int64], *, num_styles: int
) -> StyleDraws:
    """Draw a style photo, with replacement, for `config.fda_probability` of the items.

    Args:
        config: Probability, and the size of crops: style photos are cropped as training images are.
        seed: The trial's seed, >= 0.
        epoch: >= 0.
        index: int64 (b,), positions of the items within the epoch, >= 0.
        num_styles: How many style photos there are, >= 1.

    Returns:
        Draws with b rows; a row depends on (seed, epoch, its position) and nothing else.
    """
    uniforms = random_uniforms((Salt.STYLE, seed, epoch), index, 2 + resized_crop.NUM_UNIFORMS)
    chosen = (uniforms[:, 1] * num_styles).astype(np.int64)
    return StyleDraws(
        style_ids=np.where(uniforms[:, 0] < config.fda_probability, chosen, -1),
        # Mirroring a photo changes no amplitude but that of mirrored frequencies.
        crop=resized_crop.draw_crop(uniforms[:, 2:], scale_min=config.crop_scale_min, hflip=0.0),
    )
