"""A translator's checkpoint: `translator.safetensors`, `training.yaml`, `metrics.json`, `training_state.pt`.

The last one is there to resume and in the newest checkpoint of a training only.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from pydantic import ValidationError
from safetensors import SafetensorError

from vgsearch import __version__
from vgsearch.config.translation import TranslationConfig
from vgsearch.errors import CheckpointError
from vgsearch.models.atomic_folder import atomic_folder, storage_error
from vgsearch.models.checkpoint import load_training_state
from vgsearch.models.plain_yaml import read_plain_yaml, read_small_text
from vgsearch.models.stored_tensors import read_tensors, require_same_tensors, write_tensors
from vgsearch.translation.generator import Generator, GeneratorShape

WEIGHTS_FILE = "translator.safetensors"
RECORD_FILE = "training.yaml"
METRICS_FILE = "metrics.json"
STATE_FILE = "training_state.pt"

_FOLDER = re.compile(r"epoch_(\d{4,})")

History = list[dict[str, float]]
"""Metrics of each epoch so far, the first one first."""


@dataclass(frozen=True)
class TrainingRecord:
    """What a training was given.

    Attributes:
        config: its settings.
        photos: for each domain the folder, how many photos it has, and their hash.
        checked_against: tests whose queries are known not to be among the photos.
        transductive: whether the photos may hold queries of a test, as a record beside them says.
    """

    config: TranslationConfig
    photos: Mapping[str, Mapping[str, str | int]]
    checked_against: tuple[str, ...] = ()
    transductive: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For YAML."""
        return {
            "config": self.config.model_dump(mode="json"),
            "photos": {name: dict(facts) for name, facts in self.photos.items()},
            "checked_against": list(self.checked_against),
            "transductive": self.transductive,
            "vgsearch": __version__,
        }


def save_translator(
    folder: Path,
    generator: Generator,
    record: TrainingRecord,
    history: History,
    state: Mapping[str, Any],
    preview: bytes,
) -> None:
    """Write a checkpoint: under a temporary name, flushed, then renamed.

    Args:
        folder: `.../epoch_0003`; one that is there is replaced.
        generator: its weights, on any device.
        record: of the training.
        history: up to this epoch.
        state: see `GanTraining.state_dict`.
        preview: a contact sheet, the bytes of a JPEG file.

    Raises:
        StorageError: the disk is full or the place cannot be written.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in generator.state_dict().items()}
    with atomic_folder(folder) as temporary:
        try:
            write_tensors(temporary / WEIGHTS_FILE, tensors, {"format": "pt"})
            torch.save({**state, "epoch": len(history)}, temporary / STATE_FILE)
        except (SafetensorError, RuntimeError) as error:
            # Both writers hide the OSError of a full disk behind one of their own.
            raise storage_error(folder, error) from error
        text = yaml.safe_dump(record.as_dict(), sort_keys=False, allow_unicode=True)
        (temporary / RECORD_FILE).write_text(text, encoding="utf-8")
        (temporary / METRICS_FILE).write_text(json.dumps({"history": history}, indent=1), encoding="utf-8")
        (temporary / "preview.jpg").write_bytes(preview)


def epoch_folders(run: Path) -> dict[int, Path]:
    """Complete checkpoints of a training, by epoch."""
    found = {int(match[1]): path for path in run.glob("epoch_*") if (match := _FOLDER.fullmatch(path.name))}
    return {epoch: path for epoch, path in sorted(found.items()) if is_translator(path)}


def is_translator(folder: Path) -> bool:
    """Whether a folder is a checkpoint of a translator."""
    return all((folder / name).is_file() for name in (WEIGHTS_FILE, RECORD_FILE, METRICS_FILE))


def drop_older(run: Path, epoch: int, *, save_every: int) -> None:
    """Keep every `save_every`-th checkpoint before `epoch`, without what a resume needs."""
    for older, folder in epoch_folders(run).items():
        if older < epoch and older % save_every:
            shutil.rmtree(folder)
        elif older < epoch:
            (folder / STATE_FILE).unlink(missing_ok=True)


def read_record(folder: Path) -> TrainingRecord:
    """Read what a checkpoint's training was given.

    Raises:
        CheckpointError: the file is missing, damaged or of another version.
    """
    path = folder / RECORD_FILE
    content = read_plain_yaml(path)
    try:
        return TrainingRecord(
            TranslationConfig.model_validate(content["config"]),
            {str(name): dict(facts) for name, facts in content["photos"].items()},
            tuple(content["checked_against"]),
            bool(content["transductive"]),
        )
    except (ValidationError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"{path}: is damaged or of another version ({type(error).__name__}); use another checkpoint"
        ) from error


def read_history(folder: Path) -> History:
    """Read the metrics of all epochs up to a checkpoint.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    path = folder / METRICS_FILE
    try:
        return [
            {str(k): float(v) for k, v in row.items()} for row in json.loads(read_small_text(path))["history"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: is damaged ({type(error).__name__}); use another checkpoint"
        ) from error


def load_generator(folder: Path, config: TranslationConfig) -> Generator:
    """Build the generator of a checkpoint with its weights, on the CPU.

    Raises:
        CheckpointError: the weights are missing, damaged or of another shape.
    """
    decoder_blocks = config.blocks - config.blocks // 2
    generator = Generator(config.domains, GeneratorShape(config.channels, config.blocks // 2, decoder_blocks))
    path = folder / WEIGHTS_FILE
    tensors, _ = read_tensors(path)
    require_same_tensors(generator.state_dict(), tensors, f"{path}: does not fit its {RECORD_FILE}")
    generator.load_state_dict(tensors)
    return generator


def load_state(folder: Path, epoch: int) -> dict[str, Any]:
    """Read what a resume needs.

    Raises:
        CheckpointError: it is missing, damaged or of another epoch.
    """
    state = load_training_state(folder)
    if state.get("epoch") != epoch:
        raise CheckpointError(f"{folder / STATE_FILE} is of another epoch than its folder; delete the folder")
    return state
