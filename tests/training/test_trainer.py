from __future__ import annotations

import json
import resource
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vgsearch.config.search import TrialSpec
from vgsearch.config.trial import TrialConfig
from vgsearch.errors import CheckpointError, ConfigError, DataError, DivergedError, StorageError
from vgsearch.models.checkpoint import load_network, load_training_state, read_metrics
from vgsearch.training.trainer import Trainer


def _spec(spec: TrialSpec, **trial: object) -> TrialSpec:
    changed = TrialConfig.model_validate({**spec.trial.model_dump(), **trial})
    return spec.model_copy(update={"trial": changed})


def _run(spec: TrialSpec, folder: Path, epochs: int | None = None) -> Trainer:
    with Trainer(spec, folder, device=torch.device("cpu"), threads=1) as trainer:
        while not trainer.finished and (epochs is None or trainer.epoch < epochs):
            trainer.train_epoch()
    return trainer


def _untimed(metrics: dict[str, float]) -> dict[str, float]:
    measured = ("train/images_per_s", "cost/query_ms")
    return {k: v for k, v in metrics.items() if not k.startswith("time/") and k not in measured}


def test_reports_and_folder(tiny_spec: TrialSpec, tmp_path: Path) -> None:
    seen: list[tuple[int, int, float]] = []
    trainer = Trainer(
        tiny_spec,
        tmp_path / "t0",
        device=torch.device("cpu"),
        threads=1,
        progress=lambda *args: seen.append(args),
    )
    assert trainer.epoch == 0
    assert trainer.best is None
    report = trainer.train_epoch()
    assert (report.epoch, trainer.epoch, report.is_best) == (1, 1, True)
    assert report.checkpoint == tmp_path / "t0" / "epoch_0001"
    assert [done for done, _, _ in seen] == [1, 2, 3]
    assert seen[0][1] == 3
    assert report.metrics["train/loss"] > 0
    assert 0 <= report.metrics["train/domain_accuracy"] <= 100
    assert report.metrics["train/domain_chance"] == 50
    assert not any(name.startswith("train/domain_accuracy_") for name in report.metrics)
    assert report.metrics["train/images_per_s"] > 0
    assert 0 < report.metrics["train/grl_alpha"] < 0.5
    assert report.seconds >= report.metrics["time/train_s"] + report.metrics["time/val_s"]
    day, night = (report.metrics[f"val/{split}/recall_at_1"] for split in ("day", "night"))
    assert report.metrics["val/mean/recall_at_1"] == pytest.approx((day + night) / 2)
    assert "gpu/peak_bytes" not in report.metrics
    assert report.metrics["cost/descriptor_bytes"] == 32 * 4
    assert report.metrics["cost/query_ms"] > 0
    assert {path.name for path in report.checkpoint.iterdir()} >= {
        "model.safetensors",
        "trial.yaml",
        "metrics.json",
        "training_state.pt",
        "val__day.npz",
        "val__night.npz",
    }
    stored = json.loads((report.checkpoint / "metrics.json").read_text())
    assert stored["train/loss"] == report.metrics["train/loss"]
    assert stored["best_value"] == report.metrics["val/mean/recall_at_1"]
    while not trainer.finished:
        trainer.train_epoch()
    # Measured once; what follows repeats it.
    assert len({report.metrics["cost/query_ms"] for report in trainer.reports}) == 1
    with pytest.raises(RuntimeError, match="all 3 epochs"):
        trainer.train_epoch()
    trainer.close()
    assert trainer.best is not None
    kept = {f"epoch_{epoch:04d}" for epoch in (3, trainer.best.epoch)}
    assert {path.name for path in (tmp_path / "t0").iterdir()} == kept
    assert load_network(tmp_path / "t0" / "epoch_0003", torch.device("cpu")) is not None
    assert load_training_state(tmp_path / "t0" / "epoch_0003")["epoch"] == 3


def test_best_is_the_first_of_equals(
    tiny_spec: TrialSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = iter([50.0, 60.0, 60.0])
    monkeypatch.setattr(
        "vgsearch.training.trainer.recall_metrics", lambda _: {"val/mean/recall_at_1": next(values)}
    )
    trainer = _run(_spec(tiny_spec, iterations_per_epoch=1), tmp_path)
    assert [report.is_best for report in trainer.reports] == [True, True, False]
    assert {path.name for path in tmp_path.iterdir()} == {"epoch_0002", "epoch_0003"}
    assert not (tmp_path / "epoch_0002" / "training_state.pt").exists()
    assert read_metrics(tmp_path / "epoch_0003")["best_epoch"] == 2


@pytest.mark.parametrize("name", ["tiny_spec", "two_domains"])
def test_resuming_after_every_epoch_equals_going_on(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    tiny_spec = request.getfixturevalue(name)
    whole = _run(tiny_spec, tmp_path / "whole")
    _run(tiny_spec, tmp_path / "parts", epochs=1)
    _run(tiny_spec, tmp_path / "parts", epochs=2)
    parts = _run(tiny_spec, tmp_path / "parts")
    assert [r.epoch for r in parts.reports] == [1, 2, 3]
    for ours, theirs in zip(parts.reports, whole.reports, strict=True):
        assert _untimed(ours.metrics) == _untimed(theirs.metrics)
        assert ours.is_best == theirs.is_best
    mine, other = (
        load_file(tmp_path / run / "epoch_0003" / "model.safetensors") for run in ("parts", "whole")
    )
    assert list(mine) == list(other)
    assert all(torch.equal(mine[name], other[name]) for name in mine)


def test_a_finished_trial_opens_with_its_reports(tiny_spec: TrialSpec, tmp_path: Path) -> None:
    spec = _spec(tiny_spec, epochs=1, iterations_per_epoch=1)
    first = _run(spec, tmp_path)
    again = Trainer(spec, tmp_path, threads=1)
    assert again.finished
    assert again.reports == first.reports


def test_another_trial_in_the_folder_is_refused(tiny_spec: TrialSpec, tmp_path: Path) -> None:
    _run(_spec(tiny_spec, iterations_per_epoch=1), tmp_path, epochs=1)
    with pytest.raises(
        CheckpointError, match=r"holds another trial, differing in trial\.lr \(0\.001 there, 0\.5"
    ):
        Trainer(_spec(tiny_spec, iterations_per_epoch=1, lr=0.5), tmp_path, threads=1)


def test_missing_training_state_is_refused(tiny_spec: TrialSpec, tmp_path: Path) -> None:
    spec = _spec(tiny_spec, iterations_per_epoch=1)
    _run(spec, tmp_path, epochs=1)
    (tmp_path / "epoch_0001" / "training_state.pt").unlink()
    with pytest.raises(CheckpointError, match="training_state.pt"):
        Trainer(spec, tmp_path, threads=1)


def test_divergence_leaves_no_checkpoint(tiny_spec: TrialSpec, tmp_path: Path) -> None:
    trainer = Trainer(_spec(tiny_spec, lr=1e30, domain=None), tmp_path, threads=1)
    with pytest.raises(DivergedError, match=r"not finite at epoch 1, iteration [23] \(lr=1e\+30"):
        trainer.train_epoch()
    assert list(tmp_path.iterdir()) == []
    assert trainer.reports == []


def test_damage_by_the_last_step_is_seen(tiny_spec: TrialSpec, tmp_path: Path) -> None:
    trainer = Trainer(_spec(tiny_spec, lr=1e39, iterations_per_epoch=1), tmp_path, threads=1)
    with pytest.raises(DivergedError, match="weights are not finite at the end of epoch 1"):
        trainer.train_epoch()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file_that_does_not_fit", ["model.safetensors", "training_state.pt"])
def test_full_disk(tiny_spec: TrialSpec, tmp_path: Path, file_that_does_not_fit: str) -> None:
    spec = _spec(tiny_spec, iterations_per_epoch=1)
    trainer = Trainer(spec, tmp_path, threads=1)
    limit_bytes = (trainer.train_epoch().checkpoint / file_that_does_not_fit).stat().st_size - 1
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, old[1]))
        with pytest.raises(StorageError, match=r"epoch_0002: cannot be written"):
            trainer.train_epoch()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert trainer.epoch == 1
    assert [path.name for path in tmp_path.iterdir()] == ["epoch_0001"]
    assert Trainer(spec, tmp_path, threads=1).epoch == 1


def test_unwritable_folder(tiny_spec: TrialSpec, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="folder cannot be made"):
        Trainer(tiny_spec, tmp_path / "file" / "t0", threads=1)


def test_objective_without_a_metric(tiny_spec: TrialSpec, tmp_path: Path) -> None:
    trainer = Trainer(tiny_spec.model_copy(update={"objective": "val/recall_at_1"}), tmp_path, threads=1)
    with pytest.raises(ConfigError, match="no metric is called val/recall_at_1"):
        trainer.train_epoch()


def test_domain_without_target_folder(tiny_spec: TrialSpec, tmp_path: Path) -> None:
    data = tiny_spec.data.model_copy(update={"target_domain": None})
    with pytest.raises(DataError, match="set data.target_domain"):
        Trainer(tiny_spec.model_copy(update={"data": data}), tmp_path, threads=1)


def test_a_checkpoint_of_one_target_from_before_there_could_be_more_resumes(
    tiny_spec: TrialSpec, tmp_path: Path
) -> None:
    spec = _spec(tiny_spec, epochs=2, iterations_per_epoch=1)
    whole = _run(spec, tmp_path / "whole")
    _run(spec, tmp_path / "old", epochs=1)
    checkpoint = tmp_path / "old" / "epoch_0001"
    written = (checkpoint / "trial.yaml").read_text()
    assert written.count("    where: descriptor\n") == 1
    (checkpoint / "trial.yaml").write_text(written.replace("    where: descriptor\n", ""))
    state = load_training_state(checkpoint)["domain"]
    assert set(state) == {"classifier", "optimizer"}
    shapes = {name: tuple(tensor.shape) for name, tensor in state["classifier"].items()}
    assert shapes == {
        "hidden.weight": (16, 32),
        "hidden.bias": (16,),
        "logits.weight": (2, 16),
        "logits.bias": (2,),
    }
    resumed = _run(spec, tmp_path / "old")
    assert _untimed(resumed.reports[1].metrics) == _untimed(whole.reports[1].metrics)


def test_accuracy_of_each_domain_beside_chance(two_domains: TrialSpec, tmp_path: Path) -> None:
    spec = _spec(two_domains, epochs=1, iterations_per_epoch=2)
    metrics = _run(spec, tmp_path).reports[0].metrics
    each = [metrics[f"train/domain_accuracy_{name}"] for name in ("source", "night", "dusk")]
    assert metrics["train/domain_accuracy"] == pytest.approx(sum(each) / 3)
    assert metrics["train/domain_chance"] == pytest.approx(100 / 3)


def test_other_target_domains_are_another_trial(
    two_domains: TrialSpec, tiny_spec: TrialSpec, tmp_path: Path
) -> None:
    _run(_spec(two_domains, iterations_per_epoch=1), tmp_path, epochs=1)
    other = _spec(two_domains, iterations_per_epoch=1).model_copy(update={"data": tiny_spec.data})
    with pytest.raises(CheckpointError, match=r"holds another trial, differing in data\.target_domain"):
        Trainer(other, tmp_path, threads=1)


def test_inline_placement_needs_no_target_and_changes_training(tiny_spec: TrialSpec, tmp_path: Path) -> None:
    data = tiny_spec.data.model_copy(update={"target_domain": None})
    spec = _spec(tiny_spec, epochs=1).model_copy(update={"data": data})
    losses = {}
    for name, domain in (("plain", None), ("inline", {"placement": "inline", "grl_alpha": 0.9})):
        trainer = _run(_spec(spec, domain=domain), tmp_path / name)
        losses[name] = trainer.reports[0].metrics["train/loss"]
        assert "train/domain_accuracy" not in trainer.reports[0].metrics
    assert losses["plain"] != losses["inline"]


def test_learns(tiny_spec: TrialSpec, tmp_path: Path) -> None:
    from vgsearch.training.scores import score_untrained

    spec = _spec(tiny_spec, domain=None, iterations_per_epoch=20, epochs=4, trainable_stages=4, lr=3e-3)
    spec = spec.model_copy(update={"objective": "val/day/recall_at_1"})
    untrained = score_untrained(spec, threads=1).metrics["val/day/recall_at_1"]
    trainer = _run(spec, tmp_path)
    assert trainer.best is not None
    assert trainer.best.metrics["val/day/recall_at_1"] >= untrained + 20
    assert trainer.reports[-1].metrics["train/loss"] < 0.7 * trainer.reports[0].metrics["train/loss"]
