"""What turns photos of one domain into photos of another: the interface of the ways to do it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from vgsearch.translation.photo_size import WorkingSize

Provenance = Mapping[str, str | int | float | None | Mapping[str, str]]


class TranslationMethod(Protocol):
    """A way to translate; the same photo gives the same translation, whatever stands beside it."""

    @property
    def size(self) -> WorkingSize:
        """The size at which photos are given to `translate`."""

    @property
    def provenance(self) -> Provenance:
        """What it is made of, for the record beside the photos."""

    def translate(self, photos: Tensor) -> Tensor:
        """Translate photos of one size, uint8 (b, 3, h, w) on the CPU to the same."""
