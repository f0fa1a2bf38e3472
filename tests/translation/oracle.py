"""ToDayGAN's generator as plain function calls on a file's tensors, and such files with random tensors."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

CHANNELS = 6


def padded(x: Tensor, pixels: int) -> Tensor:
    return functional.pad(x, (pixels,) * 4, mode="reflect")


def normed(x: Tensor) -> Tensor:
    mean = x.mean((2, 3), keepdim=True)
    variance = ((x - mean) ** 2).mean((2, 3), keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt()


class Layers:
    """The tensors of one file; each call names the layer it stands for."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors = tensors
        self.used: set[str] = set()

    def take(self, name: str) -> Tensor:
        self.used.add(name)
        return self.tensors[name]

    def conv(self, x: Tensor, layer: str, **options: int) -> Tensor:
        return functional.conv2d(x, self.take(f"{layer}.weight"), self.take(f"{layer}.bias"), **options)

    def up(self, x: Tensor, layer: str) -> Tensor:
        weight, bias = self.take(f"{layer}.weight"), self.take(f"{layer}.bias")
        return functional.conv_transpose2d(x, weight, bias, stride=2, padding=1)

    def prelu(self, x: Tensor, layer: str) -> Tensor:
        slope = self.take(f"{layer}.weight")
        return torch.where(x >= 0, x, slope * x)

    def block(self, x: Tensor, layer: str) -> Tensor:
        inner = normed(self.conv(padded(x, 1), f"{layer}.conv_block.1"))
        inner = self.prelu(inner, f"{layer}.conv_block.3")
        return x + normed(self.conv(padded(inner, 1), f"{layer}.conv_block.5"))


def encode(tensors: Mapping[str, Tensor], photos: Tensor, blocks: int = 4) -> Tensor:
    layers = Layers(tensors)
    x = layers.prelu(normed(layers.conv(padded(photos, 3), "model.1")), "model.3")
    x = layers.prelu(normed(layers.conv(x, "model.4", stride=2, padding=1)), "model.6")
    x = layers.prelu(normed(layers.conv(x, "model.7", stride=2, padding=1)), "model.9")
    for k in range(blocks):
        x = layers.block(x, f"model.{10 + k}")
    assert layers.used == set(tensors)
    return x


def decode(tensors: Mapping[str, Tensor], code: Tensor, blocks: int = 5) -> Tensor:
    layers = Layers(tensors)
    for k in range(blocks):
        code = layers.block(code, f"model.{k}")
    first = blocks
    code = layers.prelu(normed(layers.up(code, f"model.{first}")), f"model.{first + 2}")
    code = layers.prelu(normed(layers.up(code, f"model.{first + 3}")), f"model.{first + 5}")
    code = layers.conv(padded(code, 3), f"model.{first + 7}")
    assert layers.used == set(tensors)
    return torch.tanh(code)


def encoder_tensors(seed: int, blocks: int = 4, channels: int = CHANNELS) -> dict[str, Tensor]:
    shapes = {"model.1": (channels, 3, 7, 7)}
    shapes |= {"model.4": (2 * channels, channels, 3, 3), "model.7": (4 * channels, 2 * channels, 3, 3)}
    shapes |= _block_shapes(10, blocks, 4 * channels)
    slopes = ["model.3", "model.6", "model.9", *_block_slopes(10, blocks)]
    return _draw(shapes, slopes, seed)


def decoder_tensors(seed: int, blocks: int = 5, channels: int = CHANNELS) -> dict[str, Tensor]:
    shapes = _block_shapes(0, blocks, 4 * channels)
    ups = {f"model.{blocks}": (4 * channels, 2 * channels, 4, 4)}
    ups |= {f"model.{blocks + 3}": (2 * channels, channels, 4, 4)}
    shapes |= ups | {f"model.{blocks + 7}": (3, channels, 7, 7)}
    slopes = [*_block_slopes(0, blocks), f"model.{blocks + 2}", f"model.{blocks + 5}"]
    return _draw(shapes, slopes, seed, transposed=set(ups))


def write_author_files(
    folder: Path, *, epoch: int = 150, domains: int = 2, legacy: bool = False, channels: int = CHANNELS
) -> Path:
    """Files of some domains; `legacy` is what torch of 2018 wrote, statistics of instance norms included."""
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(2 * domains):
        make = encoder_tensors if k < domains else decoder_tensors
        tensors = OrderedDict(make(k, channels=channels))
        if legacy and k < domains:
            tensors["model.2.running_mean"] = torch.zeros(channels)
            tensors["model.2.running_var"] = torch.ones(channels)
        path = folder / f"{epoch}_net_G{k}.pth"
        torch.save(tensors, path, _use_new_zipfile_serialization=not legacy)
    return folder


def _block_shapes(first: int, blocks: int, width: int) -> dict[str, tuple[int, ...]]:
    names = [f"model.{first + k}.conv_block.{layer}" for k in range(blocks) for layer in (1, 5)]
    return dict.fromkeys(names, (width, width, 3, 3))


def _block_slopes(first: int, blocks: int) -> list[str]:
    return [f"model.{first + k}.conv_block.3" for k in range(blocks)]


def _draw(
    shapes: Mapping[str, tuple[int, ...]], slopes: list[str], seed: int, transposed: set[str] = frozenset()
) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, shape in shapes.items():
        tensors[f"{name}.weight"] = torch.randn(shape, generator=draw) * 0.1
        tensors[f"{name}.bias"] = torch.randn(shape[name in transposed], generator=draw) * 0.1
    for name in slopes:
        tensors[f"{name}.weight"] = torch.rand(1, generator=draw)
    return tensors
