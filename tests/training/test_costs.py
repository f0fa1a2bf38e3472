from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vgsearch.config.search import EvalConfig
from vgsearch.data.index import ImageIndex, index_folder
from vgsearch.models.precision import resolve_precision
from vgsearch.training.costs import descriptor_bytes, measure_query_ms

CPU = torch.device("cpu")
FP32 = resolve_precision("fp32", CPU)


class SlowNetwork(torch.nn.Module):
    """Takes a known time, and remembers what it was given and in which mode."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.frozen = torch.nn.BatchNorm2d(3)
        self.seconds = seconds
        self.seen: list[tuple[torch.dtype, tuple[int, ...]]] = []
        self.modes: set[bool] = set()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append((images.dtype, tuple(images.shape)))
        self.modes |= {self.training, self.frozen.training, torch.is_grad_enabled()}
        time.sleep(self.seconds)
        return torch.ones(1, 4)


@pytest.fixture
def queries(tmp_path: Path) -> ImageIndex:
    """Photos of three sizes; the one of the middle area is 40 x 60."""
    for number, (height, width) in enumerate([(40, 60), (90, 80), (16, 20)]):
        name = f"@{500_000 + number}.0@4000000.0@10@S@36.1@-123.0@p{number}@@0@@@@201801@@.jpg"
        Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(tmp_path / name)
    return index_folder(tmp_path)


def _measure(network: torch.nn.Module, queries: ImageIndex, **settings: object) -> float:
    config = EvalConfig.model_validate({"resize_px": settings.pop("resize_px", None)})
    return measure_query_ms(network, queries, eval_config=config, device=CPU, precision=FP32, **settings)  # type: ignore[arg-type]


def test_measures_the_network_on_one_photo(queries: ImageIndex) -> None:
    network = SlowNetwork(0.02)
    start = time.perf_counter()
    assert 20 <= _measure(network, queries) < 60
    assert time.perf_counter() - start < 1.5
    assert set(network.seen) == {(torch.uint8, (1, 3, 40, 60))}
    assert len(network.seen) >= 8


def test_resized_as_for_scoring(queries: ImageIndex) -> None:
    network = SlowNetwork(0.0)
    _measure(network, queries, resize_px=20, budget_s=0.01)
    assert set(network.seen) == {(torch.uint8, (1, 3, 20, 30))}


def test_a_slow_network_is_run_twice(queries: ImageIndex) -> None:
    network = SlowNetwork(0.1)
    assert _measure(network, queries, budget_s=0.05) >= 100
    assert len(network.seen) == 2


def test_nothing_is_disturbed(queries: ImageIndex) -> None:
    network = SlowNetwork(0.0).train()
    network.frozen.eval()
    torch.manual_seed(3)
    before = torch.get_rng_state()
    _measure(network, queries, budget_s=0.01)
    assert torch.equal(torch.get_rng_state(), before)
    assert (network.training, network.frozen.training) == (True, False)
    assert network.modes == {False}
    assert torch.is_grad_enabled()


def test_descriptor_bytes() -> None:
    assert descriptor_bytes(512) == torch.empty(512, dtype=torch.float32).untyped_storage().nbytes()
