"""Translation by a generator: one encoder, one decoder, on a device, in a precision."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vgsearch.models.precision import Precision, autocast
from vgsearch.translation.generator import Decoder, Encoder
from vgsearch.translation.method import Provenance
from vgsearch.translation.photo_size import WorkingSize


@dataclass(frozen=True)
class GanTranslator:
    """A `TranslationMethod`.

    Attributes:
        encoder: of the domain that photos are from.
        decoder: of the domain that they go to.
        size: at which they are translated.
        device: where both networks are.
        precision: of convolutions.
        provenance: where the weights are from.
    """

    encoder: Encoder
    decoder: Decoder
    size: WorkingSize
    device: torch.device
    precision: Precision
    provenance: Provenance

    @torch.inference_mode()
    def translate(self, photos: Tensor) -> Tensor:
        """Translate photos of one size, uint8 (b, 3, h, w) to the same."""
        with autocast(self.precision, self.device):
            result = translated(self.encoder, self.decoder, to_network(photos.to(self.device)))
        return to_photos(result).cpu()


def translated(encoder: Encoder, decoder: Decoder, photos: Tensor) -> Tensor:
    """Photos of another domain, float (b, 3, h, w) in (-1, 1), of photos (b, 3, h, w) in [-1, 1].

    Two steps by half round sides up to multiples of four. Pixels stay where they are from the upper left on,
    so what is too much at the right and lower edge is cut off.
    """
    height_px, width_px = photos.shape[2:]
    result: Tensor = decoder(encoder(photos))
    return result[:, :, :height_px, :width_px]


def to_network(photos: Tensor) -> Tensor:
    """Photos uint8 to float32 in [-1, 1]."""
    return photos.float().div_(127.5).sub_(1)


def to_photos(result: Tensor) -> Tensor:
    """What a decoder gives, in [-1, 1], as uint8, rounded (the authors cut off)."""
    return ((result.float() + 1) * 127.5).round_().clamp_(0, 255).to(torch.uint8)
