"""A store that holds one finished search, built in seconds: real photos, MLflow, safetensors and recalls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import yaml
from PIL import Image

from vgsearch.config.search import DataConfig, TrialSpec
from vgsearch.config.trial import AugmentConfig, CellsConfig, TrialConfig
from vgsearch.models.checkpoint import load_network, save_checkpoint
from vgsearch.models.network import DescriptorNetwork, build_network
from vgsearch.models.precision import resolve_scoring_precision
from vgsearch.registry.mlflow_registry import MlflowRegistry
from vgsearch.registry.protocol import Registry
from vgsearch.registry.records import ModelVersion
from vgsearch.retrieval.scoring import score_sets
from vgsearch.training.data_cache import load_val_sets
from vgsearch.training.trainer import Trainer
from vgsearch.training.val_scores import recall_metrics, result_files

SEARCH = "pot"
PX = 64
NUM_PLACES = 48
# How far each trial lies from one trained network, as a part of each tensor's spread: near enough that the
# mean of the first three is better than each of them, but for the last, which is lost.
NOISE = (0.25, 0.3, 0.35, 2.0)


class SearchedStore(NamedTuple):
    """Where a search was recorded."""

    registry: Registry
    home: Path
    search: str


def build_world(root: Path) -> DataConfig:
    """Photos of places, each a pattern of colours: train, val, and the tests `day` and `night`."""
    write_places(root / "train", range(NUM_PLACES), range(4), spacing_m=10)
    for number, split in enumerate(("val", "test_day", "test_night")):
        places = range(100 * (number + 1), 100 * (number + 1) + NUM_PLACES)
        write_places(root / split / "database", places, range(1), spacing_m=100)
        write_places(root / split / "queries", places, range(1, 3), spacing_m=100, night="night" in split)
    return DataConfig(
        train=str(root / "train"),
        val=str(root / "val"),
        tests={"day": str(root / "test_day"), "night": str(root / "test_night")},
    )


def write_places(folder: Path, places: range, views: range, *, spacing_m: int, night: bool = False) -> None:
    """One JPEG for each place and view, named as SF-XS names them; places lie in a row."""
    folder.mkdir(parents=True)
    for place in places:
        for view in views:
            east = 500_005 + spacing_m * (place - places[0])
            name = f"@{east:.2f}@4000005.00@10@S@36.1@-123.0@p{place}v{view}@@0@@@@201801@@.jpg"
            _pattern(place, view, night=night).save(folder / name, quality=90)


def build_searched_store(root: Path) -> SearchedStore:
    """Train a network, move copies of it at random, train one of another architecture; record them as trials.

    See the fixture `searched_store`.
    """
    data = build_world(root / "data")
    home = root / "home"
    registry = MlflowRegistry(home, None)
    spec = TrialSpec(search=SEARCH, uid=f"{SEARCH}-0000-0000", trial=tiny_trial(), data=data)
    run = registry.open_search(
        SEARCH,
        params={"data": data.model_dump(mode="json")},
        config_text=f"name: {SEARCH}\n",
        tags={"vgsearch.objective": spec.objective},
    )
    trained = train(spec, root / "work")
    versions = []
    for number, noise in enumerate(NOISE):
        changes = {"uid": f"{SEARCH}-0000-{number:04d}", "trial": tiny_trial(number=number)}
        own = spec.model_copy(update=changes)
        versions.append(record_trial(registry, own, moved(trained, noise, seed=number), root / own.uid))
    changes = {
        "uid": f"{SEARCH}-0000-{len(NOISE):04d}",
        "trial": tiny_trial("test_resnet", iterations=80),
    }
    other = spec.model_copy(update=changes)
    record_trial(registry, other, train(other, root / "work"), root / other.uid)
    best = max(versions, key=lambda version: float(version.tags["vgsearch.val.recall_at_1"]))
    registry.crown(SEARCH, best.uid)
    registry.finish_search(run, "complete")
    return SearchedStore(registry, home, SEARCH)


@contextmanager
def one_thread() -> Iterator[None]:
    """Networks this small only lose by sharing their work, most of all beside other processes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def record_trial(
    registry: Registry, spec: TrialSpec, network: DescriptorNetwork, folder: Path, *, epoch: int = 1
) -> ModelVersion:
    """Score a network on val, save it and record it as a trial of the spec's search."""
    val = load_val_sets(spec.data)
    cpu = torch.device("cpu")
    precision = resolve_scoring_precision("fp32", cpu)
    with one_thread():
        scored = score_sets(
            network.eval(), list(val.values()), eval_config=spec.eval, device=cpu, precision=precision
        )
    results = dict(zip(val, scored, strict=True))
    metrics = recall_metrics(results)
    save_checkpoint(folder, network, spec, {"epoch": epoch, **metrics}, extra_files=result_files(results))
    text = yaml.safe_dump(spec.model_dump(mode="json"))
    run = registry.open_trial(
        spec.search, spec.uid, label=spec.uid, params=spec.trial.model_dump(mode="json"), spec_text=text
    )
    registry.log_epoch(run, epoch, metrics)
    tags = {f"vgsearch.{name.replace('/', '.')}": f"{value:.4f}" for name, value in metrics.items()}
    version = registry.record_checkpoint(
        run, folder, search=spec.search, uid=spec.uid, epoch=epoch, tags=tags
    )
    registry.finish_trial(run, "complete")
    return version


def moved(network: DescriptorNetwork, noise: float, *, seed: int) -> DescriptorNetwork:
    """A copy with normal noise on every parameter: `noise` times that tensor's standard deviation."""
    copy = build_network(tiny_trial(), load_weights=False)
    copy.load_state_dict(network.state_dict())
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in copy.parameters():
            if parameter.numel() > 1:
                spread = parameter.std() * noise
                parameter.add_(torch.randn(parameter.shape, generator=generator) * spread)
    return copy


def tiny_trial(backbone: str = "test_efficientnet", *, number: int = 0, iterations: int = 150) -> TrialConfig:
    """A backbone of 0.1 to 0.4 M weights, all trained; trials differ in a seed."""
    return TrialConfig(
        backbone=backbone,
        weights="none",
        trainable_stages=6 if backbone == "test_efficientnet" else 5,
        descriptor_dim=32,
        cells=CellsConfig(cell_m=10, groups_across=1, groups_heading=1, groups_used=1, min_images=2),
        augment=AugmentConfig(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.0, crop_scale_min=0.8),
        image_px=PX,
        batch_size=8,
        epochs=1,
        iterations_per_epoch=iterations,
        lr=5e-3,
        precision="fp32",
        seed=number,
    )


def train(spec: TrialSpec, folder: Path) -> DescriptorNetwork:
    """The network of a trial after its one epoch."""
    cpu = torch.device("cpu")
    with one_thread(), Trainer(spec, folder / spec.uid, device=cpu, threads=1) as trainer:
        report = trainer.train_epoch()
    return load_network(report.checkpoint)


def _pattern(place: int, view: int, *, night: bool) -> Image.Image:
    """A place is a grid of colours; a view shifts it, adds noise and pastes an occluder."""
    grid = np.random.default_rng(place).integers(40, 216, (4, 4, 3), dtype=np.uint8)
    larger = Image.fromarray(grid).resize((PX + 16, PX + 16), Image.Resampling.BICUBIC)
    pixels = np.asarray(larger, np.float64)
    draw = np.random.default_rng([place, view, int(night)])
    top, left = draw.integers(0, 16, 2)
    pixels = pixels[top : top + PX, left : left + PX] * draw.uniform(0.6, 1.3)
    y, x = draw.integers(0, PX - 20, 2)
    pixels[y : y + 20, x : x + 20] = draw.integers(0, 256, 3)
    if night:
        pixels *= 0.25
    pixels = pixels + draw.normal(0, 8, pixels.shape)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
