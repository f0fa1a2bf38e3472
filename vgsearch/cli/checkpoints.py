"""Finding what a user names: a checkpoint by reference, a split by name or folder."""

from __future__ import annotations

import os
from pathlib import Path

from vgsearch.config.search import DataConfig
from vgsearch.config.split_folder import folder_and_queries
from vgsearch.errors import CheckpointError, DataError


def local_checkpoint(reference: str, home: Path) -> Path:
    """Bring a checkpoint to a local folder.

    Raises:
        CheckpointError: a folder of that name does not exist.
        RegistryError: a `runs:/` or `models:/` reference names nothing.
    """
    if reference.startswith(("runs:/", "models:/")):
        from vgsearch.cli.store import open_registry

        return open_registry(home).download(reference)
    folder = Path(reference)
    if not folder.is_dir():
        raise CheckpointError(
            f"{reference} is no checkpoint folder; "
            "give a folder, runs:/ID, models:/NAME@ALIAS or models:/NAME/VERSION"
        )
    return folder


def find_split(split: str, data: DataConfig, data_root: Path, *, option: str = "--on") -> tuple[str, Path]:
    """Find a split's folder: by its name in the checkpoint's data section, else as a folder.

    A selection split is `val`, its own name or `val/<name>`; a test is its own name or `test/<name>`, which
    also tells the two apart where they share a name. A folder is taken as given, or under the data root;
    `FOLDER#QUERIES` is another query folder of it. Errors name the `option` that it was given with.

    Raises:
        DataError: neither a name nor a folder; or a name that val and tests share.
    """
    vals = {name or "val": folder for name, folder in data.val_splits.items()}
    named = {f"val/{name}" if name != "val" else "val": folder for name, folder in vals.items()}
    named |= {f"test/{name}": folder for name, folder in data.tests.items()}
    if split in named:
        return split, Path(named[split])
    short = [name for name in named if name.split("/", 1)[-1] == split]
    if len(short) == 1:
        return short[0], Path(named[short[0]])
    if short:
        raise DataError(f"{option} {split} is both a selection and a test split; say {' or '.join(short)}")
    for folder in (Path(split), data_root / split):
        if os.path.isdir(folder_and_queries(str(folder))[0]):
            return split.strip("/"), folder
    there = ", ".join(named) or "it was imported without data"
    raise DataError(
        f"{option} {split} is no split of this checkpoint ({there}) and no folder, here or in {data_root}"
    )
