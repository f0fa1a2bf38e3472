from __future__ import annotations

import torch
from torch import Tensor, nn

from vgsearch.models.forward_trace import trace_forward


class Crossed(nn.Module):
    """Registers its layers in another order than it uses them, and one in vain."""

    def __init__(self) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.zeros(1))
        self.second = nn.Conv2d(4, 5, 1)
        self.first = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.idle = nn.Linear(2, 2)

    def forward_features(self, images: Tensor) -> Tensor:
        result: Tensor = self.second(self.first(images + self.offset))
        return result


def test_order_and_use() -> None:
    model = Crossed()
    trace = trace_forward(model, torch.rand(1, 3, 4, 4))
    assert trace.left["first"] < trace.entered["second"] < trace.left["second"]
    assert trace.entered["first"] < trace.entered["first.0"] < trace.left["first.0"] < trace.left["first"]
    assert trace.unused == {"idle.weight", "idle.bias"}
    assert trace.tick_of_parameter("offset") == -1
    assert trace.tick_of_parameter("first.0.weight") == trace.entered["first.0"]
    assert trace.tick_of_parameter("first.unknown.weight") == trace.entered["first"]


def test_nothing_stays_behind() -> None:
    model = Crossed().train()
    trace = trace_forward(model, torch.rand(1, 3, 4, 4))
    assert model.training
    assert isinstance(trace.output, Tensor)
    assert not trace.output.requires_grad
    assert model.first[1].num_batches_tracked == 0
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
