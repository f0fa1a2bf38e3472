"""Several processes train what one would have trained, on the same global batch."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vgsearch.config.search import TrialSpec
from vgsearch.config.trial import TrialConfig
from vgsearch.errors import ConfigError, DivergedError
from vgsearch.training.processes import require_processes
from vgsearch.training.trainer import Trainer

CPU = torch.device("cpu")


@dataclass
class Run:
    trainer: Trainer
    losses: list[float]
    weights: dict[str, torch.Tensor]


def _run(spec: TrialSpec, folder: Path, processes: int, *, copy_after_first: Path | None = None) -> Run:
    losses: list[float] = []
    with Trainer(
        spec,
        folder,
        device=CPU,
        threads=2,
        processes=processes,
        progress=lambda done, planned, loss: losses.append(loss),
    ) as trainer:
        pids = trainer.pids
        assert len(pids) == processes - 1
        while not trainer.finished:
            report = trainer.train_epoch()
            if report.epoch == 1 and copy_after_first is not None:
                shutil.copytree(folder, copy_after_first)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    return Run(trainer, losses, load_file(trainer.reports[-1].checkpoint / "model.safetensors"))


def _spec(spec: TrialSpec, **trial: object) -> TrialSpec:
    changed = TrialConfig.model_validate({**spec.trial.model_dump(), **trial})
    return spec.model_copy(update={"trial": changed})


@pytest.fixture(scope="module")
def uneven(two_domains: TrialSpec) -> TrialSpec:
    """Five training images a step, two of night, one of dusk, trainable BatchNorm, two epochs on two groups.

    The first of two processes has both of the night, the second that of dusk.
    """
    return _spec(two_domains, batch_size=5, epochs=2, iterations_per_epoch=4)


@pytest.fixture(scope="module")
def alone(uneven: TrialSpec, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return _run(uneven, tmp_path_factory.mktemp("alone"), 1)


@pytest.fixture(scope="module")
def handed_over(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("handed_over") / "t0"


@pytest.fixture(scope="module")
def together(uneven: TrialSpec, handed_over: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return _run(uneven, tmp_path_factory.mktemp("together"), 2, copy_after_first=handed_over)


def _assert_same(ours: Run, theirs: Run) -> None:
    for mine, other in zip(ours.trainer.reports, theirs.trainer.reports, strict=True):
        for name in (name for name in other.metrics if name.startswith("train/")):
            if name == "train/images_per_s":
                continue
            assert mine.metrics[name] == pytest.approx(other.metrics[name], rel=1e-4), name
        for name, recall in mine.metrics.items():
            if name.startswith("val/"):
                # Rounding may swap near neighbours of a few of the 32 queries of each split.
                assert recall == pytest.approx(other.metrics[name], abs=2.1 * 100 / 32), name
    assert list(ours.weights) == list(theirs.weights)
    # All in one: where a gradient is zero but for rounding (a bias before a BatchNorm), Adam walks at random.
    mine, other = (torch.cat([t.double().flatten() for t in run.weights.values()]) for run in (ours, theirs))
    assert float((mine - other).norm() / other.norm()) < 1e-3


def test_two_processes_train_what_one_does(alone: Run, together: Run) -> None:
    assert len(alone.losses) == 8
    assert together.losses == pytest.approx(alone.losses, rel=1e-4)
    for name in ("domain_accuracy", "domain_accuracy_source", "domain_accuracy_dusk", "domain_chance"):
        assert all(f"train/{name}" in report.metrics for report in together.trainer.reports)
    _assert_same(together, alone)


def test_one_process_resumes_what_two_began(uneven: TrialSpec, together: Run, handed_over: Path) -> None:
    resumed = _run(uneven, handed_over, 1)
    assert resumed.losses == pytest.approx(together.losses[4:], rel=1e-4)
    _assert_same(resumed, together)


def test_a_finished_trial_starts_no_process(together: Run, uneven: TrialSpec) -> None:
    with Trainer(uneven, together.trainer.folder, device=CPU, threads=2, processes=2) as again:
        assert again.finished
        assert again.pids == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "trial",
    [
        # One target image a step: the other two processes have none.
        {"batch_size": 4, "domain": {"batch_fraction": 0.25, "hidden": 8}},
        {"domain": {"placement": "inline", "grl_alpha": 0.9}, "frozen_bn": "batch"},
        {"domain": None, "loss": {"name": "arcface"}, "precision": "bf16"},
    ],
)
def test_three_processes_resume_what_one_began(
    tiny_spec: TrialSpec, tmp_path: Path, trial: dict[str, object]
) -> None:
    spec = _spec(tiny_spec, epochs=2, **trial)
    whole = _run(spec, tmp_path / "whole", 1, copy_after_first=tmp_path / "resumed")
    resumed = _run(spec, tmp_path / "resumed", 3)
    tolerance = 3e-2 if spec.trial.precision == "bf16" else 1e-4
    assert resumed.losses == pytest.approx(whole.losses[3:], rel=tolerance)


@pytest.mark.slow
def test_divergence_ends_all(tiny_spec: TrialSpec, tmp_path: Path) -> None:
    trainer = Trainer(_spec(tiny_spec, lr=1e30, domain=None), tmp_path, device=CPU, threads=2, processes=2)
    with pytest.raises(DivergedError, match=r"not finite at epoch 1, iteration [23] \(lr=1e\+30"):
        trainer.train_epoch()
    assert trainer.pids == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_compiled_processes(tiny_spec: TrialSpec, tmp_path: Path) -> None:
    losses = {
        compiled: _run(
            _spec(tiny_spec, compile=compiled, epochs=1, domain=None), tmp_path / f"{compiled}", 2
        ).losses
        for compiled in (False, True)
    }
    assert losses[True] == pytest.approx(losses[False], rel=1e-3)


@pytest.mark.parametrize(
    ("processes", "message"),
    [(0, "at least 1 process, but got 0"), (9, "9 processes cannot share a batch of 8")],
)
def test_numbers_that_cannot_train(
    tiny_spec: TrialSpec, tmp_path: Path, processes: int, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Trainer(tiny_spec, tmp_path / "t0", device=CPU, threads=2, processes=processes)
    assert not (tmp_path / "t0").exists()


def test_more_processes_than_gpus() -> None:
    too_many = torch.cuda.device_count() + 1
    with pytest.raises(ConfigError, match=f"{too_many} processes need a GPU each"):
        require_processes(too_many, 32, torch.device("cuda"))
