"""A trial that branches from a trunk: it starts from exactly its weights, and goes on without it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vgsearch.config.search import TrialSpec, TrunkSpec
from vgsearch.config.trial import TrialConfig
from vgsearch.errors import CheckpointError
from vgsearch.models.checkpoint import load_training_state, read_spec
from vgsearch.models.precision import resolve_precision
from vgsearch.training.initial_state import InitialState, read_initial_state
from vgsearch.training.parts import TrialParts, build_parts
from vgsearch.training.trainer import Trainer
from vgsearch.training.trunk import trunk_folder

CPU = torch.device("cpu")
CLASSES = [8, 8]


def _spec(spec: TrialSpec, uid: str, **trial: object) -> TrialSpec:
    changed = TrialConfig.model_validate({**spec.trial.model_dump(), **trial})
    return spec.model_copy(update={"trial": changed, "uid": uid})


def _run(spec: TrialSpec, home: Path, epochs: int | None = None, processes: int = 1) -> Path:
    """Train to the end or for so many epochs; the latest checkpoint."""
    folder = home / spec.uid
    with Trainer(spec, folder, device=CPU, threads=processes, processes=processes) as trainer:
        while not trainer.finished and (epochs is None or trainer.epoch < epochs):
            trainer.train_epoch()
        return folder / f"epoch_{trainer.epoch:04d}"


@pytest.fixture(scope="module")
def trunk_home(tiny_spec: TrialSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trials folder with a trunk of one epoch, which has trained the first of its two groups."""
    home = tmp_path_factory.mktemp("trials")
    _run(_spec(tiny_spec, "trunk", epochs=1, seed=7, loss={"name": "arcface"}), home)
    return home


@pytest.fixture
def home(trunk_home: Path, tmp_path: Path) -> Path:
    """A copy of the trials folder, to be spoilt."""
    return Path(shutil.copytree(trunk_home, tmp_path / "trials"))


@pytest.fixture
def branch(tiny_spec: TrialSpec) -> TrialSpec:
    spec = _spec(tiny_spec, "branch", epochs=2, seed=0, lr=3e-4)
    return spec.model_copy(update={"trunk": TrunkSpec(uid="trunk", checkpoint="epoch_0001")})


def _parts(trial: TrialConfig, trunk: Path, classes: list[int] = CLASSES) -> TrialParts:
    precision = resolve_precision("fp32", CPU)
    return build_parts(
        trial, classes, CPU, precision, checkpoint=None, epoch=0, compile_threads=1, trunk=trunk
    )


def _learned_rows(parts: TrialParts, group: int) -> torch.Tensor:
    head, _ = parts.classifiers.activate(group)
    return head.weight.detach()


def test_the_first_state_is_the_trunks(branch: TrialSpec, trunk_home: Path) -> None:
    folder = trunk_folder(branch, trunk_home / "branch")
    assert folder == trunk_home / "trunk" / "epoch_0001"
    parts = _parts(branch.trial, folder)
    stored = load_file(folder / "model.safetensors")
    mine = parts.network.state_dict()
    assert set(mine) == set(stored)
    assert all(torch.equal(mine[name], stored[name]) for name in stored)
    assert parts.network.training
    # Optimizers have taken no step; the rate is the trial's own.
    assert parts.optimizer.state_dict()["state"] == {}
    assert parts.optimizer.param_groups[0]["lr"] == 3e-4


def test_class_weights_come_along_and_what_was_not_trained_starts_as_ever(
    branch: TrialSpec, trunk_home: Path
) -> None:
    folder = trunk_home / "trunk" / "epoch_0001"
    parts = _parts(branch.trial, folder)
    heads = load_training_state(folder)["classifiers"]["heads"]
    assert list(heads) == [0]
    assert torch.equal(_learned_rows(parts, 0), heads[0]["weight"])
    head, adam = parts.classifiers.activate(0)
    assert adam.state_dict()["state"] == {}
    # The loss is the branch's, whatever the trunk was trained with.
    assert head.margins.cos == branch.trial.loss.margin_cos  # type: ignore[union-attr]
    precision = resolve_precision("fp32", CPU)
    alone = build_parts(branch.trial, CLASSES, CPU, precision, checkpoint=None, epoch=0, compile_threads=1)
    assert torch.equal(_learned_rows(parts, 1), _learned_rows(alone, 1))
    assert not torch.equal(_learned_rows(parts, 0), _learned_rows(alone, 0))


def test_other_cells_are_other_classes(branch: TrialSpec, trunk_home: Path) -> None:
    cells = branch.trial.cells.model_copy(update={"min_images": 1})
    other = branch.trial.model_copy(update={"cells": cells})
    parts = _parts(other, trunk_home / "trunk" / "epoch_0001")
    precision = resolve_precision("fp32", CPU)
    alone = build_parts(other, CLASSES, CPU, precision, checkpoint=None, epoch=0, compile_threads=1)
    assert torch.equal(_learned_rows(parts, 0), _learned_rows(alone, 0))


def test_a_training_folder_that_changed_is_noticed(branch: TrialSpec, trunk_home: Path) -> None:
    with pytest.raises(CheckpointError, match=r"trained on \[8, 8\] classes .* gives \[8, 9\]; restore"):
        _parts(branch.trial, trunk_home / "trunk" / "epoch_0001", [8, 9])


def test_a_branch_records_its_trunk_as_its_start(branch: TrialSpec, home: Path) -> None:
    checkpoint = _run(branch, home, epochs=1)
    trunk = home / "trunk" / "epoch_0001"
    parts = _parts(branch.trial, trunk)
    assert read_initial_state(checkpoint) == InitialState.of(parts.network)
    assert read_initial_state(checkpoint) != read_initial_state(trunk)
    other = branch.model_copy(
        update={"uid": "other", "trial": branch.trial.model_copy(update={"seed": 3, "lr": 1e-4})}
    )
    assert read_initial_state(_run(other, home, epochs=1)) == read_initial_state(checkpoint)
    assert read_spec(checkpoint).trunk == branch.trunk


def test_resumed_without_its_trunk_equals_uninterrupted(branch: TrialSpec, home: Path) -> None:
    whole = _run(branch.model_copy(update={"uid": "whole"}), home)
    _run(branch, home, epochs=1)
    shutil.rmtree(home / "trunk")
    parts = _run(branch, home)
    first, second = (load_file(checkpoint / "model.safetensors") for checkpoint in (parts, whole))
    assert all(torch.equal(first[name], second[name]) for name in second)
    assert read_initial_state(parts) == read_initial_state(whole)
    states = [load_training_state(checkpoint) for checkpoint in (parts, whole)]
    for group in (0, 1):
        mine, other = (state["classifiers"]["heads"][group]["weight"] for state in states)
        assert torch.equal(mine, other)


def test_killed_in_its_first_epoch_it_starts_from_the_trunk_again(branch: TrialSpec, home: Path) -> None:
    whole = _run(branch.model_copy(update={"uid": "whole"}), home, epochs=1)

    def die(done: int, planned: int, loss: float) -> None:
        raise KeyboardInterrupt

    with (
        Trainer(branch, home / branch.uid, device=CPU, threads=1, progress=die) as trainer,
        pytest.raises(KeyboardInterrupt),
    ):
        trainer.train_epoch()
    again = _run(branch, home, epochs=1)
    first, second = (load_file(checkpoint / "model.safetensors") for checkpoint in (again, whole))
    assert all(torch.equal(first[name], second[name]) for name in second)


@pytest.mark.parametrize("gone", ["trunk", "trunk/epoch_0001", "trunk/epoch_0001/model.safetensors"])
def test_a_missing_trunk_is_one_line(branch: TrialSpec, home: Path, gone: str) -> None:
    path = home / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(CheckpointError) as caught:
        Trainer(branch, home / branch.uid, device=CPU, threads=1)
    assert str(caught.value).startswith(
        f"{home}/trunk/epoch_0001: is no whole checkpoint, and trial branch starts from this trunk"
    )
    assert "\n" not in str(caught.value)


def test_a_trunk_without_its_classifiers_is_one_line(branch: TrialSpec, home: Path) -> None:
    (home / "trunk/epoch_0001/training_state.pt").unlink()
    with pytest.raises(CheckpointError, match=r"trunk/epoch_0001/training_state\.pt: is missing"):
        Trainer(branch, home / branch.uid, device=CPU, threads=1)


def test_a_trunk_of_another_architecture_is_one_line(branch: TrialSpec, home: Path) -> None:
    other = branch.model_copy(update={"trial": branch.trial.model_copy(update={"descriptor_dim": 16})})
    with pytest.raises(
        CheckpointError, match=r"holds weights of .* \+ 32, but .* \+ 16 was expected"
    ) as caught:
        Trainer(other, home / branch.uid, device=CPU, threads=1)
    assert "\n" not in str(caught.value)


def test_every_process_starts_from_the_trunk(branch: TrialSpec, home: Path) -> None:
    # Each of the two trains its half of every batch; had one another start, their weights would part, and
    # the trainer compares them after the epoch.
    alone = _run(branch.model_copy(update={"uid": "alone"}), home, epochs=1)
    together = _run(branch, home, epochs=1, processes=2)
    # All in one: where a gradient is zero but for rounding (a bias before a BatchNorm), Adam walks at random.
    first, second = (
        torch.cat([t.double().flatten() for t in load_file(checkpoint / "model.safetensors").values()])
        for checkpoint in (together, alone)
    )
    assert float((first - second).norm() / second.norm()) < 1e-3
    assert read_initial_state(together) == read_initial_state(alone)
