"""The files of a checkpoint folder that a registry keeps, and the check that they arrived whole."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from vgsearch.errors import CheckpointError, RegistryError, StorageError
from vgsearch.models.file_hash import file_sha256

WEIGHTS_FILE = "model.safetensors"
REQUIRED_FILES = (WEIGHTS_FILE, "trial.yaml", "metrics.json")
LINEAGE_FILE = "lineage.json"
# What only combinations have: how an ensemble fuses its members, and what any combination was made of.
OPTIONAL_FILES = ("ensemble.yaml", LINEAGE_FILE)


def recorded_files(checkpoint: Path) -> list[Path]:
    """Return the files of `checkpoint` that are recorded: weights, configuration, metrics, `*.npz`.

    Of a combination also `ensemble.yaml` and `lineage.json`, where they are.

    `training_state.pt` is not among them: it is only good for going on with training.

    Raises:
        CheckpointError: The folder or one of the three required files is missing.
    """
    missing = [name for name in REQUIRED_FILES if not (checkpoint / name).is_file()]
    if missing:
        raise CheckpointError(f"{checkpoint} is not a checkpoint folder: it has no {', '.join(missing)}")
    there = [name for name in OPTIONAL_FILES if (checkpoint / name).is_file()]
    names = [*REQUIRED_FILES, *there]
    return [checkpoint / name for name in names] + sorted(checkpoint.glob("*.npz"))


def check_recorded(folder: Path, weights_sha256: str) -> Path:
    """Return `folder` if it holds a whole recorded checkpoint and nothing that leads out of it.

    Raises:
        RegistryError: An entry is a link or no plain file.
        CheckpointError: A required file is missing, or the weights are not those that were recorded.
    """
    for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
        if entry.is_symlink() or not entry.is_file():
            raise RegistryError(f"{entry} is no plain file, which a recorded checkpoint may not contain")
    recorded_files(folder)
    found = file_sha256(folder / WEIGHTS_FILE)
    if found != weights_sha256:
        raise CheckpointError(
            f"{folder / WEIGHTS_FILE} is not the file that was recorded: "
            f"sha256 {found[:12]}..., recorded {weights_sha256[:12]}..."
        )
    return folder


def place_folder(fill: Callable[[Path], Path], target: Path) -> Path:
    """Let `fill` write into a temporary sibling of `target` and give it its final name.

    Args:
        fill: Called with an empty folder; returns the folder inside it that is to be kept.
        target: Final name; a folder that is already there is replaced.

    Raises:
        StorageError: `target` cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as scratch:
            filled = fill(Path(scratch))
            if target.exists():
                os.replace(target, Path(scratch) / "replaced")
            os.replace(filled, target)
    except OSError as error:
        raise StorageError(f"cannot write {target}: {error.strerror or error}") from error
    return target


def copy_recorded(source: Path, target: Path) -> Path:
    """Copy the recorded files of `source` to `target`, whole or not at all.

    Raises:
        CheckpointError: `source` is no checkpoint.
        StorageError: `target` cannot be written.
    """
    files = recorded_files(source)

    def fill(scratch: Path) -> Path:
        folder = scratch / "copy"
        folder.mkdir()
        for file in files:
            shutil.copyfile(file, folder / file.name)
        return folder

    return place_folder(fill, target)
