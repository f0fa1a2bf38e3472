"""The smallest training that has every part, and photos for it."""

from __future__ import annotations

from pathlib import Path

from tests.training.conftest import write_places
from vgsearch.config.translation import TranslationConfig
from vgsearch.data.index import ImageIndex, index_folder
from vgsearch.translation.checkpoint import TrainingRecord

TINY = {
    "channels": 4,
    "blocks": 3,
    "discriminator_channels": 4,
    "discriminator_layers": 2,
    "load_px": 40,
    "crop_px": 32,
    "batch_size": 2,
    "epochs": 1,
    "decay_epochs": 2,
    "iterations_per_epoch": 3,
    "pool_size": 3,
    "precision": "fp32",
    "seed": 5,
}


def tiny_config(**changes: object) -> TranslationConfig:
    return TranslationConfig.model_validate(TINY | changes)


def write_domains(folder: Path) -> tuple[ImageIndex, ImageIndex]:
    write_places(folder / "night", range(1), places=range(5), night=True)
    write_places(folder / "day", range(1, 2), places=range(7))
    return index_folder(folder / "night"), index_folder(folder / "day")


def record_of(config: TranslationConfig, indexes: tuple[ImageIndex, ImageIndex]) -> TrainingRecord:
    photos = {
        name: {"folder": str(index.root), "photos": len(index), "hash": index.content_hash}
        for name, index in zip(config.domains, indexes, strict=True)
    }
    return TrainingRecord(config, photos)
