"""The generator of ToDayGAN: an encoder and a decoder for each domain, with a code that they share.

From Anoosheh et al., "Night-to-Day Image Translation for Retrieval-based Localization" (ICRA 2019), on
ComboGAN (Anoosheh et al., CVPR-W 2018), whose networks are those of Johnson et al. (ECCV 2016). A photo of
one domain goes through that domain's encoder and the other domain's decoder. Children stand where the authors
have them, so that tensors have the names of their files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from vgsearch.models.seeding import part_generator

WEIGHT_STD = 0.02
DOWN_STEPS = 2
STRIDE = 2**DOWN_STEPS


@dataclass(frozen=True)
class GeneratorShape:
    """What decides the tensors of encoder and decoder.

    Attributes:
        channels: filters of the first convolution.
        encoder_blocks: residual blocks of an encoder.
        decoder_blocks: residual blocks of a decoder.
    """

    channels: int = 64
    encoder_blocks: int = 4
    decoder_blocks: int = 5


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions on reflected borders, added to what came in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
            nn.PReLU(),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, c, h, w) to (b, c, h, w)."""
        out: Tensor = x + self.conv_block(x)
        return out


class Encoder(nn.Module):
    """Photos (b, 3, h, w) in [-1, 1] to codes (b, 4c, ceil(h / 4), ceil(w / 4))."""

    def __init__(self, shape: GeneratorShape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.channels
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(3, width, 7), *_norm(width)]
        for _ in range(DOWN_STEPS):
            layers += [nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), *_norm(2 * width)]
            width *= 2
        layers += [ResidualBlock(width) for _ in range(shape.encoder_blocks)]
        self.model = nn.Sequential(*layers)

    def forward(self, photos: Tensor) -> Tensor:
        """See the class."""
        code: Tensor = self.model(photos)
        return code


class Decoder(nn.Module):
    """Codes (b, 4c, h, w) to photos (b, 3, 4h, 4w) in (-1, 1)."""

    def __init__(self, shape: GeneratorShape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.channels * STRIDE
        layers: list[nn.Module] = [ResidualBlock(width) for _ in range(shape.decoder_blocks)]
        for _ in range(DOWN_STEPS):
            layers += [nn.ConvTranspose2d(width, width // 2, 4, stride=2, padding=1), *_norm(width // 2)]
            width //= 2
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    def forward(self, code: Tensor) -> Tensor:
        """See the class."""
        photos: Tensor = self.model(code)
        return photos


class Generator(nn.Module):
    """Encoders and decoders of two or more domains."""

    def __init__(self, domains: Sequence[str], shape: GeneratorShape) -> None:
        super().__init__()
        self.shape = shape
        self.encoders = nn.ModuleDict({domain: Encoder(shape) for domain in domains})
        self.decoders = nn.ModuleDict({domain: Decoder(shape) for domain in domains})

    def encode(self, photos: Tensor, domain: str) -> Tensor:
        """Photos of `domain` to codes, see `Encoder`."""
        code: Tensor = self.encoders[domain](photos)
        return code

    def decode(self, code: Tensor, domain: str) -> Tensor:
        """Codes to photos of `domain`, see `Decoder`."""
        photos: Tensor = self.decoders[domain](code)
        return photos


def draw_weights(network: nn.Module, seed: int, part: str) -> None:
    """Draw a network's convolutions as the authors do: normal with deviation 0.02, biases zero.

    Args:
        network: on the CPU.
        seed: of the training, >= 0.
        part: names the draws; another part's size changes nothing in them.
    """
    generator = part_generator(seed, part)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, WEIGHT_STD, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _norm(channels: int) -> tuple[nn.Module, nn.Module]:
    return nn.InstanceNorm2d(channels), nn.PReLU()
