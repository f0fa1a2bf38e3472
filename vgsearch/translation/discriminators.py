"""The three discriminators of a domain in ToDayGAN: on blurred RGB, on luminance and on its gradients.

Section III of Anoosheh et al. (ICRA 2019). Each is a PatchGAN (Isola et al., CVPR 2017) that predicts at
every layer but the first: of each layer's output one channel is a prediction and the others go on.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn
from torch.nn import functional

KERNEL = 4
MOST_WIDENING = 8
_BLUR_PX, _BLUR_SIGMA_PX = 5, 3.0
_REC_601 = (0.299, 0.587, 0.114)

Predictions = list[Tensor]
"""Of one discriminator: one map (b, h, w) for each scale, the finest first."""


class PatchDiscriminator(nn.Sequential):
    """`num_layers` strided layers and a last one without stride, each a Sequential of its own."""

    def __init__(self, in_channels: int, channels: int, num_layers: int) -> None:
        layers = [nn.Sequential(_conv(in_channels, channels, 2), nn.PReLU())]
        width = channels
        for k in range(1, num_layers):
            wider = channels * min(2**k, MOST_WIDENING)
            # One channel more than goes on: the prediction of this scale.
            layers.append(nn.Sequential(_conv(width, wider + 1, 2), nn.InstanceNorm2d(wider + 1), nn.PReLU()))
            width = wider
        wider = channels * min(2**num_layers, MOST_WIDENING)
        last = (_conv(width, wider, 1), nn.InstanceNorm2d(wider), nn.PReLU(), _conv(wider, 1, 1))
        super().__init__(*layers, nn.Sequential(*last))

    def forward(self, x: Tensor) -> Predictions:
        """Map (b, in_channels, h, w) to `num_layers` predictions."""
        first, *middle, last = self
        x = first(x)
        predictions = []
        for layer in middle:
            out = layer(x)
            predictions.append(out[:, -1])
            x = out[:, :-1]
        return [*predictions, last(x)[:, -1]]


class Discriminators(nn.Module):
    """All three of one domain; children are called as the authors call them."""

    blur: Tensor
    luma: Tensor

    def __init__(self, channels: int, num_layers: int) -> None:
        super().__init__()
        self.model_rgb = PatchDiscriminator(3, channels, num_layers)
        self.model_gray = PatchDiscriminator(1, channels, num_layers)
        self.model_grad = PatchDiscriminator(2, channels, num_layers - 1)
        self.register_buffer("blur", blur_kernel(), persistent=False)
        self.register_buffer("luma", torch.tensor(_REC_601).view(1, 3, 1, 1), persistent=False)

    def forward(self, photos: Tensor) -> tuple[Predictions, Predictions, Predictions]:
        """Judge photos (b, 3, h, w) in [-1, 1]; what each sees is made in float32."""
        with torch.autocast(photos.device.type, enabled=False):
            photos = photos.float()
            blurred = functional.conv2d(photos, self.blur, groups=3, padding=_BLUR_PX // 2)
            gray = (photos * self.luma).sum(1, keepdim=True)
            gradients = central_gradients(gray[:, :, ::2, ::2])
        return self.model_rgb(blurred), self.model_gray(gray), self.model_grad(gradients)


def central_gradients(gray: Tensor) -> Tensor:
    """Differences of the pixels right and left, and below and above: (b, 1, h, w) to (b, 2, h - 2, w - 2)."""
    across = gray[:, :, 1:-1, 2:] - gray[:, :, 1:-1, :-2]
    down = gray[:, :, 2:, 1:-1] - gray[:, :, :-2, 1:-1]
    return torch.cat([across, down], 1)


def blur_kernel() -> Tensor:
    """A Gaussian of sigma 3 px, reflected into 5 x 5 pixels, for each colour: float32 (3, 1, 5, 5)."""
    dot = np.zeros((_BLUR_PX, _BLUR_PX))
    dot[_BLUR_PX // 2, _BLUR_PX // 2] = 1
    kernel = torch.from_numpy(gaussian_filter(dot, _BLUR_SIGMA_PX)).float()
    return kernel.repeat(3, 1, 1, 1)


def _conv(in_channels: int, out_channels: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, KERNEL, stride=stride, padding=KERNEL // 2)
