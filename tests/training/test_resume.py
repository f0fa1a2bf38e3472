from __future__ import annotations

import json
from pathlib import Path

import pytest

from vgsearch.config.search import TrialSpec
from vgsearch.errors import CheckpointError
from vgsearch.models.checkpoint import save_checkpoint
from vgsearch.models.network import build_network
from vgsearch.training.report import EpochReport, epoch_name, from_history, to_history
from vgsearch.training.resume import read_history


@pytest.fixture
def reports(tmp_path: Path) -> list[EpochReport]:
    return [
        EpochReport(epoch, {"train/loss": 1.0 / epoch}, tmp_path / epoch_name(epoch), epoch == 1, 2.5)
        for epoch in (1, 2)
    ]


@pytest.fixture
def checkpoint(tiny_spec: TrialSpec, reports: list[EpochReport], tmp_path: Path) -> Path:
    history = {"history": [to_history(report) for report in reports]}
    return save_checkpoint(tmp_path / "epoch_0002", build_network(tiny_spec.trial), tiny_spec, history)


def test_round_trip(tiny_spec: TrialSpec, reports: list[EpochReport], checkpoint: Path) -> None:
    assert read_history(checkpoint, tiny_spec) == reports


def test_a_moved_folder_has_its_reports_too(tiny_spec: TrialSpec, checkpoint: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    checkpoint.rename(moved / "epoch_0002")
    assert read_history(moved / "epoch_0002", tiny_spec)[1].checkpoint == moved / "epoch_0002"


def test_another_trial_is_named_key_by_key(tiny_spec: TrialSpec, checkpoint: Path) -> None:
    other = tiny_spec.model_copy(
        update={"uid": "t1", "trial": tiny_spec.trial.model_copy(update={"seed": 5})}
    )
    with pytest.raises(CheckpointError, match=r"trial\.seed \(0 there, 5 here\), uid \(t0 there, t1 here\)"):
        read_history(checkpoint, other)


@pytest.mark.parametrize("history", [None, [], "text", [{}, {}], [{"epoch": "x"}, {}]])
def test_damaged_history(tiny_spec: TrialSpec, checkpoint: Path, history: object) -> None:
    (checkpoint / "metrics.json").write_text(json.dumps({"history": history}))
    with pytest.raises(CheckpointError, match=r"history in metrics\.json"):
        read_history(checkpoint, tiny_spec)


def test_entries_are_plain(reports: list[EpochReport], tmp_path: Path) -> None:
    entry = json.loads(json.dumps(to_history(reports[0])))
    assert from_history(entry, tmp_path) == reports[0]
