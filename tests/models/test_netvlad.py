"""NetVLAD against the paper's formulas in plain loops, and what its clusters begin with."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from vgsearch.models.netvlad import NetVLAD, netvlad_of_clusters


def by_loops(feature_map, centroids, assignment):
    """Equations 1 to 4 of the paper, position after position: (c, h, w) -> (k * c,)."""
    clusters, channels = centroids.shape
    found = np.zeros((clusters, channels))
    for position in feature_map.reshape(channels, -1).T:
        local = position / np.linalg.norm(position)
        scores = [math.exp(assignment[k] @ local) for k in range(clusters)]
        for k in range(clusters):
            found[k] += scores[k] / sum(scores) * (local - centroids[k])
    rows = [row / max(np.linalg.norm(row), 1e-12) for row in found]
    flat = np.concatenate(rows)
    return flat / np.linalg.norm(flat)


@settings(max_examples=20, deadline=None)
@given(
    clusters=st.integers(1, 6),
    channels=st.integers(2, 7),
    side=st.integers(1, 5),
    sharpness=st.floats(0.1, 30),
    seed=st.integers(0, 100),
)
def test_equals_the_plain_loop(clusters, channels, side, sharpness, seed):
    torch.manual_seed(seed)
    feature_map = torch.randn(2, channels, side, side + 1, dtype=torch.float64)
    centroids = torch.randn(clusters, channels, dtype=torch.float64)
    assignment = sharpness * torch.randn(clusters, channels, dtype=torch.float64)
    pooled = NetVLAD(centroids, assignment)(feature_map)
    for image in range(2):
        expected = by_loops(feature_map[image].numpy(), centroids.numpy(), assignment.numpy())
        np.testing.assert_allclose(pooled[image].detach().numpy(), expected, rtol=0, atol=1e-9)


def test_equals_a_convolution_with_explicit_residuals():
    torch.manual_seed(0)
    convolution = torch.nn.Conv2d(16, 8, 1, bias=False)
    centroids, feature_map = torch.rand(8, 16), torch.rand(3, 16, 5, 6)
    local = F.normalize(feature_map, dim=1)
    shares = F.softmax(convolution(local), dim=1)
    residuals = local[:, None] - centroids[None, :, :, None, None]
    expected = F.normalize((shares[:, :, None] * residuals).sum(dim=(3, 4)), dim=2).flatten(1)
    pooled = NetVLAD(centroids, convolution.weight.flatten(1))(feature_map)
    torch.testing.assert_close(pooled, F.normalize(expected, dim=1), rtol=0, atol=1e-6)


def test_it_computes_in_float32_under_autocast():
    torch.manual_seed(0)
    pooling = NetVLAD(torch.rand(8, 16), 50 * torch.randn(8, 16))
    feature_map = torch.rand(2, 16, 6, 6).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pooled = pooling(feature_map)
    assert pooled.dtype == torch.float32
    assert torch.equal(pooled, pooling(feature_map.float()))


def test_gradients():
    torch.manual_seed(0)
    pooling = NetVLAD(torch.rand(3, 4, dtype=torch.float64), torch.rand(3, 4, dtype=torch.float64))

    def pool(feature_map, centroids, assignment):
        parts = {"centroids": centroids, "assignment": assignment}
        return torch.func.functional_call(pooling, parts, (feature_map,))

    feature_map = torch.rand(2, 4, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(pool, (feature_map, pooling.centroids, pooling.assignment))


def test_at_the_mean_gap_the_second_cluster_has_a_hundredth_of_the_first():
    rng = np.random.default_rng(0)
    descriptors = rng.standard_normal((200, 6))
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    centroids = rng.standard_normal((5, 6)) * rng.uniform(0.2, 2, (5, 1))
    pooling = netvlad_of_clusters(torch.from_numpy(centroids), torch.from_numpy(descriptors))
    gaps = []
    for local in descriptors:
        dots = sorted(local @ centroid / np.linalg.norm(centroid) for centroid in centroids)
        gaps.append(dots[-1] - dots[-2])
    directions = centroids / np.linalg.norm(centroids, axis=1, keepdims=True)
    alpha = (pooling.assignment.detach().numpy() / directions)[0, 0]
    assert math.exp(-alpha * np.mean(gaps)) == pytest.approx(0.01)
    np.testing.assert_allclose(pooling.assignment.detach().numpy(), alpha * directions)
    np.testing.assert_array_equal(pooling.centroids.detach().numpy(), centroids)


def test_what_makes_no_clusters_is_refused():
    with pytest.raises(ValueError, match="two or more"):
        netvlad_of_clusters(torch.ones(1, 4), torch.ones(9, 4))
    with pytest.raises(ValueError, match="must be positive"):
        netvlad_of_clusters(torch.ones(3, 4), torch.ones(9, 4))
    with pytest.raises(ValueError, match="one shape"):
        NetVLAD(torch.ones(3, 4), torch.ones(3, 5))
