from __future__ import annotations

import torch
import torch.nn.functional as F

from vgsearch.models.pooling import GeM


def test_equals_a_plain_loop() -> None:
    feature_map = torch.rand(2, 3, 4, 5, dtype=torch.float64) - 0.3
    pooled = GeM(2.5).double()(feature_map)
    for image in range(2):
        for channel in range(3):
            values = [max(v, 1e-6) ** 2.5 for v in feature_map[image, channel].flatten().tolist()]
            expected = (sum(values) / len(values)) ** (1 / 2.5)
            assert abs(pooled[image, channel].item() - expected) < 1e-12


def test_equals_the_average_pooling_form() -> None:
    feature_map = F.normalize(torch.rand(2, 8, 7, 9) - 0.2)
    expected = F.avg_pool2d(feature_map.clamp(min=1e-6).pow(3.0), (7, 9)).pow(1 / 3.0)[:, :, 0, 0]
    torch.testing.assert_close(GeM(3.0)(feature_map), expected)


def test_power_one_is_the_mean_and_a_large_power_nears_the_maximum() -> None:
    feature_map = torch.rand(1, 4, 6, 6) + 0.1
    torch.testing.assert_close(GeM(1.0)(feature_map), feature_map.mean(dim=(2, 3)))
    assert (GeM(20.0)(feature_map) > 0.8 * feature_map.amax(dim=(2, 3))).all()


def test_gradients_of_map_and_power() -> None:
    pooling = GeM(3.0).double()
    feature_map = (torch.rand(2, 3, 3, 4, dtype=torch.float64) + 0.05).requires_grad_()

    def pool(values: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(pooling, {"p": p}, (values,))

    assert torch.autograd.gradcheck(pool, (feature_map, pooling.p))


def test_no_underflow_for_a_dead_channel_and_a_high_power() -> None:
    feature_map = torch.full((1, 2, 4, 4), -1.0)
    feature_map[0, 1] = 0.5
    feature_map.requires_grad_()
    pooling = GeM(20.0)
    pooled = pooling(feature_map)
    pooled.sum().backward()
    torch.testing.assert_close(pooled.detach(), torch.tensor([[1e-6, 0.5]]))
    assert feature_map.grad is not None
    assert pooling.p.grad is not None
    assert torch.isfinite(feature_map.grad).all()
    assert torch.isfinite(pooling.p.grad).all()
