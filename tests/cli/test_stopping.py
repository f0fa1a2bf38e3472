"""A signal during `train` and `translate train`: epochs are kept, and the printed command goes on."""

import os
import shlex
import signal
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from vgsearch.cli.stopping import typed
from vgsearch.errors import RegistryError, StorageError
from vgsearch.registry.mlflow_registry import MlflowRegistry
from vgsearch.retrieval import scoring
from vgsearch.training import trainer

INTERRUPTED = "the training was interrupted; its finished epochs are kept. Go on with:"


@pytest.fixture
def signal_after_epoch_1(monkeypatch):
    """Send this process a signal once the first epoch is recorded; returns what takes that away."""

    def arm(number):
        log_epoch = MlflowRegistry.log_epoch

        def log_and_signal(registry, run_id, epoch, metrics):
            log_epoch(registry, run_id, epoch, metrics)
            if epoch == 1:
                os.kill(os.getpid(), number)

        monkeypatch.setattr(MlflowRegistry, "log_epoch", log_and_signal)
        return lambda: monkeypatch.setattr(MlflowRegistry, "log_epoch", log_epoch)

    return arm


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_single_trial(vgsearch, space_file, own_city, tmp_path, signal_after_epoch_1, number):
    disarm = signal_after_epoch_1(number)
    handler = signal.getsignal(number)
    run = vgsearch("train", space_file, "--set", "trial.loss.name=cosface", "--set", "trial.epochs=2")
    assert run.code == 130, run.err
    assert "epoch 1/2 in" in run.out
    assert "epoch 2/2 in" not in run.out
    assert "Traceback" not in run.err
    *_, last, command = run.out.splitlines()
    assert last == INTERRUPTED
    assert signal.getsignal(number) == handler
    registry = MlflowRegistry(tmp_path / "runs", None)
    assert [trial.state for trial in registry.trials("quick_train")] == ["stopped"]
    assert [each.state for each in registry.searches()] == ["interrupted"]

    disarm()
    again = vgsearch(*shlex.split(command)[1:])
    assert again.code == 0, again.err
    assert "1 epochs are done already; going on with epoch 2" in again.out
    (trial,) = registry.trials("quick_train")
    assert (trial.state, sorted(trial.history)) == ("complete", [1, 2])


def test_a_translator(vgsearch, own_store, tiny_city, tmp_path, signal_after_epoch_1):
    small = {"epochs": 2, "decay_epochs": 0, "iterations_per_epoch": 1, "load_px": 40, "crop_px": 32}
    small |= {
        "channels": 4,
        "blocks": 1,
        "discriminator_channels": 4,
        "discriminator_layers": 2,
        "precision": "fp32",
    }
    photos = (tiny_city / "target_night", tiny_city / "train")
    settings = [word for key, value in small.items() for word in ("--set", f"{key}={value}")]
    disarm = signal_after_epoch_1(signal.SIGINT)
    run = vgsearch("translate", "train", *photos, "--out", "cut", *settings)
    assert run.code == 130, run.err
    *_, last, command = run.out.splitlines()
    assert last == INTERRUPTED
    assert shlex.split(command)[-1] == "--resume"
    registry = MlflowRegistry(tmp_path / "runs", None)
    assert [each.state for each in registry.searches()] == ["interrupted"]

    disarm()
    again = vgsearch(*shlex.split(command)[1:])
    assert again.code == 0, again.err
    whole = vgsearch("translate", "train", *photos, "--out", "whole", *settings)
    assert whole.code == 0, whole.err
    (resumed, alone) = (
        next((tmp_path / name / "epoch_0002").glob("*.safetensors")) for name in ("cut", "whole")
    )
    expected = load_file(alone)
    assert all((tensor == expected[key]).all() for key, tensor in load_file(resumed).items())


def test_the_command_names_what_the_environment_said(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["vgsearch", "translate", "train", "--out=d", "--", "-night", "day"])
    command = typed("--resume", home=Path("elsewhere"), data_root=Path("data"))
    assert command == "vgsearch translate train --out=d --resume --home elsewhere -- -night day"
    monkeypatch.setattr(sys, "argv", ["vgsearch", "train", "a.yaml", "--home=elsewhere", "--data-root", "d"])
    assert typed(home=Path("elsewhere"), data_root=Path("d")).endswith("--home=elsewhere --data-root d")


def test_it_stops_while_val_is_scored(vgsearch, space_file, own_city, tmp_path, monkeypatch):
    extract = scoring.extract_descriptors

    def signal_and_extract(*given, **named):
        os.kill(os.getpid(), signal.SIGTERM)
        return extract(*given, **named)

    monkeypatch.setattr(scoring, "extract_descriptors", signal_and_extract)
    run = vgsearch("train", space_file, "--set", "trial.loss.name=cosface")
    assert run.code == 130, run.err
    assert "epoch 1/1 in" not in run.out
    assert not list((tmp_path / "runs" / "trials").rglob("model.safetensors"))
    assert [trial.state for trial in MlflowRegistry(tmp_path / "runs", None).trials("quick_train")] == [
        "stopped"
    ]


def test_an_error_is_told_and_recorded_as_one(vgsearch, space_file, own_city, tmp_path, monkeypatch):
    def full(*given, **named):
        raise StorageError("the disk is full")

    monkeypatch.setattr(trainer, "save_checkpoint", full)
    run = vgsearch("train", space_file, "--set", "trial.loss.name=cosface")
    assert (run.code, "the disk is full" in run.err) == (2, True)
    registry = MlflowRegistry(tmp_path / "runs", None)
    assert [trial.state for trial in registry.trials("quick_train")] == ["failed"]

    # ... even if the store does not answer either.
    def silent(*given, **named):
        raise RegistryError("no answer")

    monkeypatch.setattr(MlflowRegistry, "finish_trial", silent)
    run = vgsearch("train", space_file, "--set", "trial.loss.name=cosface")
    assert (run.code, "the disk is full" in run.err) == (2, True)
