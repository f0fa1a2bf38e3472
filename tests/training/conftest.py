"""A tiny world of coloured patterns in SF-XS names: 16 places, 64 px, day and night."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vgsearch.config.search import DataConfig, TrialSpec
from vgsearch.config.trial import AugmentConfig, CellsConfig, DomainConfig, TrialConfig

PX = 64
NUM_PLACES = 16


def pattern(place: int, view: int, *, night: bool) -> Image.Image:
    """A place is a grid of colours; a view shifts it, adds noise and pastes an occluder."""
    grid = np.random.default_rng(place).integers(40, 216, (4, 4, 3), dtype=np.uint8)
    pixels = np.asarray(
        Image.fromarray(grid).resize((PX + 16, PX + 16), Image.Resampling.BICUBIC), np.float64
    )
    draw = np.random.default_rng([place, view, int(night)])
    top, left = draw.integers(0, 16, 2)
    pixels = pixels[top : top + PX, left : left + PX] * draw.uniform(0.6, 1.3)
    y, x = draw.integers(0, PX - 20, 2)
    pixels[y : y + 20, x : x + 20] = draw.integers(0, 256, 3)
    if night:
        pixels *= 0.25
    pixels = pixels + draw.normal(0, 8, pixels.shape)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def write_places(
    folder: Path, views: range, *, places: range = range(NUM_PLACES), spacing_m: int = 10, night: bool = False
) -> None:
    """One JPEG per place and view; places lie in a row from east 500,005 on."""
    folder.mkdir(parents=True)
    for place in places:
        for view in views:
            east = 500_005 + spacing_m * place
            name = f"@{east:.2f}@4000005.00@10@S@36.1@-123.0@p{place}v{view}@@0@@@@201801@@.jpg"
            pattern(place, view, night=night).save(folder / name, quality=90)


@pytest.fixture(scope="session")
def tiny_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders train, night, dusk, val_day, val_night; neighbouring places are 10 m apart, in two groups."""
    root = tmp_path_factory.mktemp("tiny_world")
    write_places(root / "train", range(4))
    write_places(root / "night", range(100, 102), night=True)
    write_places(root / "dusk", range(200, 201), places=range(5), night=True)
    for split, night in (("val_day", False), ("val_night", True)):
        write_places(root / split / "database", range(10, 11), spacing_m=100)
        write_places(root / split / "queries", range(20, 22), spacing_m=100, night=night)
    return root


@pytest.fixture(scope="session")
def tiny_trial() -> TrialConfig:
    """Two groups of eight classes, a backbone of 0.3 M random weights, with domain adaptation."""
    return TrialConfig(
        backbone="test_efficientnet",
        weights="none",
        trainable_stages=2,
        descriptor_dim=32,
        domain=DomainConfig(grl_alpha=0.5, schedule="ramp", hidden=16),
        cells=CellsConfig(cell_m=10, groups_across=2, groups_heading=1, groups_used=2, min_images=2),
        augment=AugmentConfig(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.05, crop_scale_min=0.8),
        image_px=PX,
        batch_size=8,
        epochs=3,
        iterations_per_epoch=3,
        lr=1e-3,
        precision="fp32",
    )


@pytest.fixture(scope="session")
def tiny_spec(tiny_world: Path, tiny_trial: TrialConfig) -> TrialSpec:
    """The tiny trial on the tiny world, selecting on the mean of day and night."""
    return TrialSpec(
        search="tiny",
        uid="t0",
        objective="val/mean/recall_at_1",
        trial=tiny_trial,
        data=DataConfig(
            train=str(tiny_world / "train"),
            val={"day": str(tiny_world / "val_day"), "night": str(tiny_world / "val_night")},
            tests={"night": str(tiny_world / "val_night")},
            target_domain=str(tiny_world / "night"),
        ),
    )


@pytest.fixture(scope="session")
def two_domains(tiny_spec: TrialSpec, tiny_world: Path) -> TrialSpec:
    """The tiny trial with a second, smaller target domain, and a classifier of features."""
    target = {"night": str(tiny_world / "night"), "dusk": str(tiny_world / "dusk")}
    domain = DomainConfig(grl_alpha=0.5, schedule="ramp", hidden=16, where="features", batch_fraction=0.6)
    return tiny_spec.model_copy(
        update={
            "data": tiny_spec.data.model_copy(update={"target_domain": target}),
            "trial": tiny_spec.trial.model_copy(update={"domain": domain}),
        }
    )


@pytest.fixture
def cpu() -> torch.device:
    return torch.device("cpu")


@pytest.fixture(scope="session", autouse=True)
def _short_costs(short_costs: None) -> None:
    """Every trial here."""
