"""One descriptor of several views of one photo."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def mean_of_views(descriptors: Tensor, num_views: int) -> Tensor:
    """The mean of each photo's views, normalised again.

    Its direction alone decides which database images are nearest, since these have norm 1: normalising moves
    no neighbour.

    Args:
        descriptors: float (b * num_views, d), the views of one photo together.
        num_views: views a photo; 1 leaves the descriptors as they are.

    Returns:
        float32 (b, d) of L2 norm 1; a mean of zero stays zero.
    """
    if num_views == 1:
        return descriptors
    with torch.autocast(descriptors.device.type, enabled=False):
        views = descriptors.float().view(-1, num_views, descriptors.shape[1])
        return functional.normalize(views.mean(dim=1), dim=1)
