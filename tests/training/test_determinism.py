from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vgsearch.config.search import TrialSpec
from vgsearch.errors import ConfigError
from vgsearch.training.determinism import deterministic_kernels
from vgsearch.training.trainer import Trainer

CUBLAS = "CUBLAS_WORKSPACE_CONFIG"


@pytest.fixture(autouse=True)
def _no_workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CUBLAS, "to be restored")
    monkeypatch.delenv(CUBLAS)


def _flags() -> tuple[int, bool, bool]:
    cudnn = torch.backends.cudnn
    return torch.get_deterministic_debug_mode(), cudnn.benchmark, cudnn.deterministic


def test_flags_hold_inside_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    before = _flags()
    with deterministic_kernels(True):
        assert _flags() == (2, False, True)
        assert os.environ[CUBLAS] == ":4096:8"
    assert _flags() == before
    with pytest.raises(ZeroDivisionError), deterministic_kernels(True):
        _ = 1 / 0
    assert _flags() == before
    with deterministic_kernels(False):
        assert _flags() == before


def test_a_workspace_that_cannot_repeat_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CUBLAS, ":0:0")
    with (
        pytest.raises(ConfigError, match="must be :4096:8 or :16:8 before .* but it is :0:0"),
        deterministic_kernels(True),
    ):
        pass
    monkeypatch.setenv(CUBLAS, ":16:8")
    with deterministic_kernels(True):
        assert os.environ[CUBLAS] == ":16:8"


def test_too_late_for_a_workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    # Stands for a process that has used a GPU, which there may be none of here.
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    with pytest.raises(ConfigError, match="but it is not set"), deterministic_kernels(True):
        pass


def test_an_operation_without_a_deterministic_form_is_named() -> None:
    with (
        pytest.raises(ConfigError, match=r"the trial needs put_, which has no deterministic form"),
        deterministic_kernels(True),
    ):
        torch.zeros(3).put_(torch.tensor([0, 0]), torch.ones(2))
    with pytest.raises(RuntimeError, match="size"), deterministic_kernels(True):
        torch.zeros(3) @ torch.zeros(4)


def test_a_cpu_trains_the_same(tiny_spec: TrialSpec, tmp_path: Path) -> None:
    weights = {}
    for deterministic in (False, True):
        trial = tiny_spec.trial.model_copy(update={"epochs": 1})
        spec = tiny_spec.model_copy(update={"deterministic": deterministic, "trial": trial})
        with Trainer(spec, tmp_path / str(deterministic), device=torch.device("cpu"), threads=1) as trainer:
            report = trainer.train_epoch()
        weights[deterministic] = load_file(report.checkpoint / "model.safetensors")
        assert not torch.are_deterministic_algorithms_enabled()
    assert all(torch.equal(tensor, weights[True][name]) for name, tensor in weights[False].items())
