"""The discriminators against plain function calls on their tensors."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.translation.oracle import normed
from vgsearch.translation.discriminators import Discriminators, blur_kernel, central_gradients
from vgsearch.translation.generator import draw_weights

CHANNELS = 4


@pytest.fixture(scope="module")
def judges() -> Discriminators:
    judges = Discriminators(CHANNELS, 4)
    draw_weights(judges, 0, "judges")
    with torch.no_grad():
        for tensor in judges.parameters():
            if tensor.ndim == 1:
                tensor.uniform_(0, 0.3)
    return judges


@pytest.fixture(scope="module")
def photos() -> Tensor:
    return torch.rand(2, 3, 64, 72, generator=torch.Generator().manual_seed(0)) * 2 - 1


def oracle(tensors: dict[str, Tensor], x: Tensor, num_layers: int) -> list[Tensor]:
    """One discriminator; names are those of the authors' Sequential of Sequentials."""

    def conv(x: Tensor, name: str, stride: int) -> Tensor:
        weight, bias = tensors.pop(f"{name}.weight"), tensors.pop(f"{name}.bias")
        return functional.conv2d(x, weight, bias, stride=stride, padding=2)

    def prelu(x: Tensor, name: str) -> Tensor:
        return torch.where(x >= 0, x, tensors.pop(f"{name}.weight") * x)

    x = prelu(conv(x, "0.0", 2), "0.1")
    predictions = []
    for k in range(1, num_layers):
        x = prelu(normed(conv(x, f"{k}.0", 2)), f"{k}.2")
        predictions.append(x[:, -1])
        x = x[:, :-1]
    x = prelu(normed(conv(x, f"{num_layers}.0", 1)), f"{num_layers}.2")
    predictions.append(conv(x, f"{num_layers}.3", 1)[:, 0])
    assert not tensors
    return predictions


def test_against_plain_calls(judges, photos):
    blurred = torch.empty_like(photos)
    kernel = blur_kernel()[0, 0]
    padded = functional.pad(photos, (2, 2, 2, 2))
    for y in range(64):
        for x in range(72):
            blurred[:, :, y, x] = (padded[:, :, y : y + 5, x : x + 5] * kernel).sum((2, 3))
    red, green, blue = photos.unbind(1)
    gray = (0.299 * red + 0.587 * green + 0.114 * blue)[:, None]
    seen = {"model_rgb": (blurred, 4), "model_gray": (gray, 4)}
    seen["model_grad"] = (central_gradients(gray[:, :, ::2, ::2]), 3)
    with torch.no_grad():
        given = judges(photos)
        for (name, (x, layers)), predictions in zip(seen.items(), given, strict=True):
            tensors = dict(getattr(judges, name).state_dict())
            for p, q in zip(predictions, oracle(tensors, x, layers), strict=True):
                torch.testing.assert_close(p, q, rtol=1e-4, atol=1e-5)


def test_gradients_of_a_slope():
    y, x = torch.meshgrid(torch.arange(6.0), torch.arange(7.0), indexing="ij")
    across, down = central_gradients((2 * x + 5 * y)[None, None])[0]
    assert across.shape == (4, 5)
    assert torch.equal(across, torch.full((4, 5), 4.0))
    assert torch.equal(down, torch.full((4, 5), 10.0))


def test_blur_is_a_folded_gaussian():
    weights = [math.exp(-(d**2) / 18) for d in range(-12, 13)]
    total = sum(weights)
    folded = [0.0] * 5
    for offset, weight in zip(range(-12, 13), weights, strict=True):
        place = (2 + offset) % 10  # reflected about its borders, a row of five repeats after ten
        folded[place if place < 5 else 9 - place] += weight / total
    expected = torch.tensor(folded)[:, None] * torch.tensor(folded)
    torch.testing.assert_close(blur_kernel()[2, 0], expected, rtol=0, atol=1e-6)
