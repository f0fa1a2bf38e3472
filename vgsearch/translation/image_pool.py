"""Translations of the past, shown to discriminators among new ones (Shrivastava et al., CVPR 2017)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

NUM_UNIFORMS = 2


class ImagePool:
    """At most `size` images; a full pool gives half of the time an old image for a new one."""

    def __init__(self, size: int) -> None:
        """Begin empty; a pool of size 0 gives back what comes."""
        self._size = size
        self._images: list[Tensor] = []

    def exchange(self, images: Tensor, uniforms: NDArray[np.float64]) -> Tensor:
        """Take images in and give as many out.

        Args:
            images: (b, 3, h, w); no gradient goes through the pool.
            uniforms: float64 (b, 2) in [0, 1): whether an image is swapped, and for which.

        Returns:
            (b, 3, h, w).
        """
        return torch.stack(
            [self._one(image, *row) for image, row in zip(images.detach(), uniforms, strict=True)]
        )

    def _one(self, image: Tensor, whether: float, which: float) -> Tensor:
        if len(self._images) < self._size:
            self._images.append(image.clone())
            return image
        if self._size == 0 or whether <= 0.5:
            return image
        place = int(which * self._size)
        old = self._images[place]
        self._images[place] = image.clone()
        return old

    def state_dict(self) -> dict[str, Any]:
        """The images, on the CPU."""
        return {"images": [image.cpu() for image in self._images]}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Go on with the images of `state_dict`.

        Raises:
            ValueError: there are more than the pool holds.
        """
        images = state["images"]
        if len(images) > self._size:
            raise ValueError(f"a pool of {self._size} cannot hold {len(images)} images")
        self._images = [image.to(device) for image in images]
