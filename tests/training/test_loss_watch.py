from __future__ import annotations

import pytest
import torch

from vgsearch.errors import DivergedError
from vgsearch.training.loss_watch import LossWatch

CPU = torch.device("cpu")


def test_mean_and_reading_back() -> None:
    watch = LossWatch(4, CPU, epoch=1, context="")
    read = [watch.add(i, torch.tensor(float(i))) for i in range(3)]
    assert read == [0.0, 1.0, 2.0]
    watch.add(3, torch.tensor(5.0))
    assert watch.mean() == pytest.approx(2.0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_names_the_iteration(bad: float) -> None:
    watch = LossWatch(5, CPU, epoch=3, context="lr=0.1, precision=bf16")
    watch.add(0, torch.tensor(1.0))
    with pytest.raises(DivergedError, match=r"epoch 3, iteration 2 \(lr=0\.1, precision=bf16\)"):
        watch.add(1, torch.tensor(bad))


def test_a_device_that_runs_ahead_is_read_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = LossWatch(120, CPU, epoch=1, context="")
    monkeypatch.setattr(watch, "_check_every", 50)  # as on a GPU
    losses = [1.0] * 120
    losses[70] = float("nan")
    read = [watch.add(i, torch.tensor(losses[i])) for i in range(99)]
    assert [i for i, value in enumerate(read) if value is not None] == [49]
    with pytest.raises(DivergedError, match="iteration 71 "):
        watch.add(99, torch.tensor(1.0))


def test_the_last_iteration_is_always_read(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = LossWatch(3, CPU, epoch=1, context="")
    monkeypatch.setattr(watch, "_check_every", 50)
    assert watch.add(0, torch.tensor(1.0)) is None
    assert watch.add(1, torch.tensor(1.0)) is None
    with pytest.raises(DivergedError, match="iteration 3 "):
        watch.add(2, torch.tensor(float("inf")))
