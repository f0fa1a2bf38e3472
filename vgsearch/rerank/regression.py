"""From the similarities of two photos' positions to a quadrilateral in each of them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vgsearch.config.geowarp import GRID, GeoWarpConfig
from vgsearch.rerank.homography import SQUARE

POSITIONS = GRID * GRID
_EPSILON = 1e-6


def l2_normalise(features: Tensor) -> Tensor:
    """Divide by the root of the squared norm over channels plus 1e-6, as the authors do.

    Args:
        features: float32 (b, c, h, w).
    """
    return features / (features.square().sum(dim=1, keepdim=True) + _EPSILON).sqrt()


def correlate(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Compare every position of one photo with every position of the other, both ways (the paper's 3.2).

    Args:
        first: float32 (b, c, 15, 15) of norm 1 over channels.
        second: Likewise.

    Returns:
        Two float32 (b, 225, 15, 15), norm 1 over channels and without negative entries. In the first one
        channel 15 x + y at (row, column) compares (y, x) of the first photo with (row, column) of the second;
        in the other one the photos change places.
    """
    with torch.autocast(first.device.type, enabled=False):
        products = torch.bmm(first.float().flatten(2).transpose(1, 2), second.float().flatten(2))
        return _by_columns(products), _by_columns(products.transpose(1, 2))


def _by_columns(products: Tensor) -> Tensor:
    """Put the positions of the first photo, (b, 225, ...) row by row, column by column into channels."""
    by_columns = products.reshape(-1, GRID, GRID, POSITIONS).transpose(1, 2)
    return l2_normalise(F.relu(by_columns.reshape(-1, POSITIONS, GRID, GRID)))


class HomographyRegression(nn.Module):
    """Convolutions with BatchNorm and ReLU, and a linear layer to two quadrilaterals."""

    def __init__(self, config: GeoWarpConfig) -> None:
        """Start at the identity: whatever is seen, both quadrilaterals are the whole image."""
        super().__init__()
        layers: list[nn.Module] = []
        sides = zip((POSITIONS, *config.channels[:-1]), config.channels, config.kernel_sizes, strict=True)
        for in_channels, out_channels, kernel_size in sides:
            layers += [
                nn.Conv2d(in_channels, out_channels, kernel_size, padding=config.padding),
                nn.BatchNorm2d(out_channels),
                nn.ReLU(),
            ]
        self.conv = nn.Sequential(*layers)
        self.linear = nn.Linear(config.channels[-1] * config.last_side**2, 16)
        with torch.no_grad():
            self.linear.weight.zero_()
            self.linear.bias.copy_(torch.tensor(SQUARE * 2).flatten())

    def forward(self, correlation: Tensor) -> Tensor:
        """Find the quadrilaterals.

        Args:
            correlation: float32 (b, 225, 15, 15), see `correlate`.

        Returns:
            float32 (b, 8, 2): four corners in the first photo, then four in the second.
        """
        features = self.conv(correlation).flatten(1)
        with torch.autocast(features.device.type, enabled=False):
            corners: Tensor = self.linear(features.float())
            return corners.reshape(-1, 8, 2)


def mean_quadrilaterals(there: Tensor, back: Tensor) -> tuple[Tensor, Tensor]:
    """Join what was found in both directions: the mean of each photo's two quadrilaterals.

    Args:
        there: float32 (b, 8, 2), found from first to second.
        back: float32 (b, 8, 2), found from second to first.

    Returns:
        float32 (b, 4, 2) in the first photo, and in the second.
    """
    return (there[:, :4] + back[:, 4:]) / 2, (there[:, 4:] + back[:, :4]) / 2
