"""NetVLAD pooling (Arandjelovic et al., CVPR 2016)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NUM_CLUSTERS = 64
_SECOND_SHARE = 0.01


class NetVLAD(nn.Module):
    """For each cluster the sum of the residuals of the local descriptors that belong to it, softly.

    With the descriptors `x` of norm 1 and their shares `a = softmax(assignment x)` over the clusters, cluster
    k has `v_k = sum_n a_nk (x_n - centroid_k)`. Each `v_k` is brought to norm 1 (one
    below 1e-12 stays shorter), then all of them together.

    Attributes:
        assignment: Learned, shape (k, c): the weights of the paper's 1 x 1 convolution, which has no bias
            where the descriptors have norm 1.
        centroids: Learned, shape (k, c).
    """

    def __init__(self, centroids: Tensor, assignment: Tensor) -> None:
        """Begin with these, both floating (k, c).

        Raises:
            ValueError: They are of different shapes, or not matrices.
        """
        super().__init__()
        if centroids.ndim != 2 or centroids.shape != assignment.shape:
            raise ValueError(
                "`centroids` and `assignment` must be matrices of one shape, but got "
                f"{tuple(centroids.shape)} and {tuple(assignment.shape)}"
            )
        self.centroids = nn.Parameter(centroids.clone())
        self.assignment = nn.Parameter(assignment.clone())

    def forward(self, feature_map: Tensor) -> Tensor:
        """Pool a map.

        Args:
            feature_map: Tensor with shape (b, c, h, w), of any norm.

        Returns:
            Tensor with shape (b, k * c) and norm 1, cluster after cluster; in the parameters' precision, also
            under autocast.
        """
        with torch.autocast(feature_map.device.type, enabled=False):
            local = F.normalize(feature_map.flatten(2).to(self.centroids.dtype), dim=1)
            shares = (self.assignment @ local).softmax(dim=1)
            # sum_n a_nk (x_n - c_k), without the residuals themselves: they would be (b, k, c, h, w).
            residuals = shares @ local.mT - shares.sum(dim=2, keepdim=True) * self.centroids
            return F.normalize(F.normalize(residuals, dim=2).flatten(1), dim=1)

    def extra_repr(self) -> str:
        """Clusters and channels, for `print(network)`."""
        return f"clusters={self.centroids.shape[0]}, channels={self.centroids.shape[1]}"


def netvlad_of_clusters(centroids: Tensor, descriptors: Tensor) -> NetVLAD:
    """Begin with clusters of local descriptors, as the NetVLAD paper's code does.

    The assignment is `alpha` times the centroids brought to norm 1, and `alpha = -ln(0.01) / mean(d1 - d2)`,
    where d1 and d2 are a descriptor's two largest dot products with these: at the mean gap the second
    cluster's share is a hundredth of the first's.

    Args:
        centroids: float (k, c), two or more, none of them zero.
        descriptors: float (m, c) of norm 1, on the same device: what was clustered.

    Raises:
        ValueError: There is one centroid alone, or no descriptor is nearer to one than to another.
    """
    if len(centroids) < 2:
        raise ValueError(f"two or more centroids are needed, got {len(centroids)}")
    directions = F.normalize(centroids, dim=1)
    first, second = (descriptors @ directions.T).topk(2, dim=1).values.unbind(1)
    gap = (first - second).double().mean().item()
    if not gap > 0:
        raise ValueError(f"the mean gap between first and second cluster must be positive, got {gap:g}")
    return NetVLAD(centroids, -math.log(_SECOND_SHARE) / gap * directions)
