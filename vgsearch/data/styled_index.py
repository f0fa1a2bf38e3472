"""An index whose photos are read in the style of other photos, for a split that is scored like any other.

Whatever describes, stores or scores an index reads it through `ImageIndex.read`. A styled one differs there,
in its fingerprint and in its content hash, so nothing made of it passes for what was made of the plain one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from vgsearch.data.draws import Salt, random_uniforms
from vgsearch.data.fda import in_style_of
from vgsearch.data.index import ImageIndex

# Of the steps from two photos to one: raise it when they give other pixels.
_VERSION = 1


@dataclass(frozen=True, eq=False, kw_only=True)
class StyledIndex(ImageIndex):
    """n images, some or all of them in the style of another photo by Fourier domain adaptation.

    Attributes:
        styles: the photos whose styles are taken.
        style_ids: rows of `styles`, int64 (n,); -1 where an image stays as it is.
        beta: size of the window, see `window_half_width`.
    """

    styles: ImageIndex
    style_ids: NDArray[np.int64]
    beta: float

    def read(self, i: int) -> Tensor:
        """Decode image `i` in its style, uint8 (3, h, w).

        The style photo is first resized to the image's height and width, as in the authors' code; only
        amplitudes are taken from it, so a changed aspect ratio does no harm.
        """
        image = super().read(i)
        if self.style_ids[i] < 0:
            return image
        style = self.styles.read(int(self.style_ids[i]))[None]
        if style.shape[2:] != image.shape[1:]:
            style = functional.interpolate(style, size=image.shape[1:], mode="bilinear", antialias=True)
        styled = in_style_of(image[None], style, self.beta)[0]
        return styled.mul_(255).round_().to(dtype=image.dtype)

    @property
    def title(self) -> str:
        """The folder, and whose style its images have."""
        plain = "plain and " if (self.style_ids < 0).any() else ""
        return f"{self.root}, {plain}in the style of {self.styles.root.name} (FDA, beta {self.beta:g})"

    @cached_property
    def content_hash(self) -> str:
        """As of the plain index, but of the styles too."""
        return self._with_styles(super().content_hash, self.styles.content_hash)

    def subset(self, ids: NDArray[np.int64] | Sequence[int]) -> ImageIndex:
        """The images `ids`, each in its style."""
        rows = np.asarray(ids, np.int64)
        return _styled(super().subset(rows), self.styles, self.style_ids[rows], self.beta)

    def _with_styles(self, of_images: str, of_styles: str) -> str:
        hasher = hashlib.blake2b(digest_size=16)
        hasher.update(f"{_VERSION} {of_images} {of_styles} {self.beta!r}".encode())
        hasher.update(self.style_ids.astype("<i8").tobytes())
        return hasher.hexdigest()


def in_style(index: ImageIndex, styles: ImageIndex, *, beta: float, seed: int) -> StyledIndex:
    """All images of `index`, each in the style of a photo of `styles` that is drawn at random.

    Image i takes the photo that (seed, i) gives, whatever else is drawn.

    Args:
        index: n images.
        styles: at least one photo.
        beta: see `window_half_width`.
        seed: >= 0.
    """
    return _styled(index, styles, _draw(len(index), styles, seed), beta)


def beside_styled(index: ImageIndex, styles: ImageIndex, *, beta: float, seed: int) -> StyledIndex:
    """The images of `index` and behind them, at the same coordinates, the same images as of `in_style`."""
    n = len(index)
    twice = index.subset(np.tile(np.arange(n, dtype=np.int64), 2))
    plain = np.full(n, -1, dtype=np.int64)
    return _styled(twice, styles, np.concatenate([plain, _draw(n, styles, seed)]), beta)


def _draw(count: int, styles: ImageIndex, seed: int) -> NDArray[np.int64]:
    uniforms = random_uniforms((Salt.STYLE_OF_SPLIT, seed), np.arange(count, dtype=np.int64), 1)[:, 0]
    return (uniforms * len(styles)).astype(np.int64)


def _styled(index: ImageIndex, styles: ImageIndex, style_ids: NDArray[np.int64], beta: float) -> StyledIndex:
    plain = {field.name: getattr(index, field.name) for field in fields(ImageIndex)}
    styled = StyledIndex(**plain, styles=styles, style_ids=style_ids, beta=beta)
    key = styled._with_styles(index.fingerprint, styles.fingerprint)
    return StyledIndex(**(plain | {"fingerprint": key}), styles=styles, style_ids=style_ids, beta=beta)
