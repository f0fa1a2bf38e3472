"""Training: what is drawn, that it learns, and that a killed one ends as one that was not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.translation.gan_worlds import record_of, tiny_config, write_domains
from vgsearch.data.index import ImageIndex
from vgsearch.errors import CheckpointError, DivergedError, StorageError, WeightsError
from vgsearch.models.file_hash import file_sha256
from vgsearch.models.precision import Precision
from vgsearch.translation.checkpoint import TrainingRecord, read_record
from vgsearch.translation.gan_step import GanTraining
from vgsearch.translation.train import train_translator
from vgsearch.translation.training_photos import training_photos
from vgsearch.translation.weights import load_translator

CPU = torch.device("cpu")
FP32 = Precision(torch.float32, use_scaler=False)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def indexes(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageIndex, ImageIndex]:
    return write_domains(tmp_path_factory.mktemp("domains"))


def train(
    indexes, run: Path, *, record: TrainingRecord | None = None, resume: bool = False, **options
) -> Path:
    record = record or record_of(tiny_config(), indexes)
    return train_translator(
        record, indexes, run, device=CPU, precision=FP32, threads=2, resume=resume, **options
    )


@pytest.fixture(scope="module")
def finished(indexes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all of its three checkpoints."""
    run = tmp_path_factory.mktemp("finished") / "run"
    train(indexes, run, save_every=1)
    return run


def test_what_a_training_leaves(finished, indexes):
    assert sorted(path.name for path in finished.iterdir()) == ["epoch_0001", "epoch_0002", "epoch_0003"]
    assert {path.name for path in (finished / "epoch_0003").iterdir()} == {
        "translator.safetensors",
        "training.yaml",
        "metrics.json",
        "training_state.pt",
        "preview.jpg",
    }
    assert not (finished / "epoch_0002" / "training_state.pt").exists()
    record = read_record(finished / "epoch_0003")
    assert record == record_of(tiny_config(), indexes)
    history = json.loads((finished / "epoch_0003" / "metrics.json").read_text())["history"]
    assert [row["train/lr"] for row in history] == pytest.approx([2e-4, 2e-4, 1e-4])
    losses = {
        f"train/{kind}/{d}" for kind in ("generator", "discriminator", "cycle") for d in ("night", "day")
    }
    assert losses | {"train/lr", "train/images_per_s", "train/seconds"} == set(history[0])


@pytest.mark.parametrize("keep", [1, 2])
def test_a_killed_training_goes_on_as_if_nothing_had_happened(finished, indexes, tmp_path, keep):
    run = tmp_path / "run"
    killed: list[int] = []

    def stop(done: int) -> None:
        killed.append(done)
        if len(killed) == 3 * keep + 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(indexes, run, progress=stop)
    reported: list[int] = []
    last = train(indexes, run, resume=True, report=lambda epoch, metrics, folder: reported.append(epoch))
    assert reported == [1, 2, 3]
    assert [path.name for path in run.iterdir()] == ["epoch_0003"]
    for name in ("translator.safetensors", "preview.jpg"):
        assert file_sha256(last / name) == file_sha256(finished / "epoch_0003" / name)
    for name in ("discriminators", "pools"):
        ours, theirs = (
            torch.load(folder / "training_state.pt")[name] for folder in (last, finished / "epoch_0003")
        )
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    assert train(indexes, run, resume=True) == last


def test_its_checkpoints_translate(finished, indexes):
    photo = indexes[0].read(0)[None]
    options = {"source": "night", "target": "day", "device": CPU, "precision": FP32}
    last = load_translator(finished, **options)
    assert last.size.load_px == 40
    assert last.provenance["epoch"] == 3
    assert torch.equal(
        last.translate(photo), load_translator(finished / "epoch_0003", **options).translate(photo)
    )
    first = load_translator(finished, epoch=1, **options)
    assert not torch.equal(last.translate(photo), first.translate(photo))
    with pytest.raises(WeightsError, match="has no epoch 7; it keeps 1, 2, 3"):
        load_translator(finished, epoch=7, **options)


@pytest.mark.slow
def test_the_generator_learns(indexes):
    config = tiny_config(channels=8, epochs=1, decay_epochs=0, lr=2e-3, iterations_per_epoch=40)
    training = GanTraining(config, CPU, FP32)
    training.begin_epoch(1)
    cycles = []
    with training_photos(config, indexes, 1, threads=1) as batches:
        for number, pair in enumerate(batches):
            losses = training.step(pair, np.random.default_rng(number).random((2, 2, 2)))
            cycles.append(float(losses["cycle/night"] + losses["cycle/day"]))
    assert np.mean(cycles[-5:]) < 0.6 * np.mean(cycles[:5])


def test_every_network_moves(indexes):
    config = tiny_config(identity=0.5, latent=0.1, forward=0.2)
    training = GanTraining(config, CPU, FP32)
    before = {name: p.detach().clone() for name, p in training.generator.named_parameters()}
    training.begin_epoch(2)
    with training_photos(config, indexes, 2, threads=1) as batches:
        losses = training.step(next(batches), np.zeros((2, 2, 2)))
    kinds = {"generator", "discriminator", "cycle", "identity", "latent", "forward"}
    assert {name.split("/")[0] for name in losses} == kinds
    assert all(not torch.equal(before[name], p) for name, p in training.generator.named_parameters())
    assert all(p.requires_grad and p.grad is not None for p in training.discriminators.parameters())


def test_photos_are_drawn_from_seed_epoch_and_position(indexes):
    def batches(threads: int, epoch: int = 1, **changes: object) -> list[torch.Tensor]:
        with training_photos(tiny_config(**changes), indexes, epoch, threads=threads) as source:
            return [torch.cat(pair) for pair in source]

    one, again = batches(1), batches(3)
    assert len(one) == 3
    assert one[0].shape == (4, 3, 32, 32)
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not torch.equal(one[0], batches(1, epoch=2)[0])
    assert not torch.equal(one[0], batches(1, seed=6)[0])
    wide = torch.cat(batches(1, batch_size=3, iterations_per_epoch=2, flip=0))
    assert len({photo.numpy().tobytes() for photo in wide}) > 6
    nights = torch.cat([batch[:2] for batch in one]).float().mean()
    assert nights < 0.6 * torch.cat([batch[2:] for batch in one]).float().mean()


def test_an_epoch_without_a_number_has_as_many_steps_as_the_larger_folder(indexes):
    with training_photos(tiny_config(iterations_per_epoch=None), indexes, 1, threads=1) as source:
        assert len(list(source)) == 4


def test_what_is_refused(finished, indexes, tmp_path):
    with pytest.raises(StorageError, match=r"holds a training of 3 epochs: --resume"):
        train(indexes, finished)
    with pytest.raises(CheckpointError, match="no checkpoint to go on from"):
        train(indexes, tmp_path / "new", resume=True)
    other = record_of(tiny_config(lr=1e-3), indexes)
    with pytest.raises(CheckpointError, match=r"other settings: lr \(0.0002 there, 0.001 here\)"):
        train(indexes, finished, record=other, resume=True)
    swapped = (indexes[1], indexes[0])
    with pytest.raises(CheckpointError, match="the photos of night, the photos of day"):
        train(swapped, finished, record=record_of(tiny_config(), swapped), resume=True)


def test_damaged_checkpoints(finished, indexes, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    shutil.rmtree(run / "epoch_0003")
    with pytest.raises(CheckpointError, match=r"training_state.pt: is missing"):
        train(indexes, run, resume=True)
    (run / "epoch_0002" / "training.yaml").write_text("config: {}\n")
    with pytest.raises(CheckpointError, match="damaged or of another version"):
        train(indexes, run, resume=True)


def test_a_training_that_diverges(indexes, tmp_path):
    record = record_of(tiny_config(lr=1e30), indexes)
    with pytest.raises(DivergedError, match="not finite in epoch 1: lower --set lr"):
        train(indexes, tmp_path / "run", record=record)
    assert not list((tmp_path / "run").glob("*"))
