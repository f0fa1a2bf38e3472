"""Where networks that re-rank are kept, and how a user names one."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from vgsearch.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from vgsearch.rerank.reranking import NamedReranker

RERANKERS_FOLDER = "rerankers"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")
_KIND = "geowarp"


def reranker_folder(name: str, home: Path) -> Path:
    """The folder of that name below `home`.

    Raises:
        ConfigError: The name is no plain one.
    """
    if not _NAME.fullmatch(name) or set(name) == {"."}:
        raise ConfigError(
            [f"--name: must have letters, digits, dots, hyphens and underscores alone, got {name!r}"]
        )
    return home / RERANKERS_FOLDER / name


def names_reranker(text: str) -> bool:
    """Whether a user means one of them, and not a model of another kind."""
    return text.startswith(f"{_KIND}:")


def find_reranker(text: str, home: Path, *, option: str = "--rerank") -> Path:
    """The checkpoint that `--rerank geowarp:CHECKPOINT` means: a folder, or a name below `home`.

    Args:
        text: What the user wrote.
        home: Absolute.
        option: Where it was written.

    Raises:
        ConfigError: The text does not begin with `geowarp:`.
        CheckpointError: There is no such checkpoint; the names that there are are listed.
    """
    from vgsearch.rerank.checkpoint import is_geowarp

    kind, _, name = text.partition(":")
    if kind != _KIND or not name:
        raise ConfigError([f"{option}: takes geowarp:CHECKPOINT, got {text!r}"])
    for folder in (Path(name).expanduser(), home / RERANKERS_FOLDER / name):
        if is_geowarp(folder):
            return folder
    kept = sorted(path.name for path in (home / RERANKERS_FOLDER).glob("*") if is_geowarp(path))
    there = f"there is {', '.join(kept)}" if kept else "there is none; vgsearch import geowarp makes one"
    raise CheckpointError(
        f"{option}: {name} is no GeoWarp checkpoint, neither as a folder nor in {home / RERANKERS_FOLDER} "
        f"({there})"
    )


def kept_rerankers(home: Path) -> dict[Path, NamedReranker]:
    """The networks below `home` by their folders, in the order of their names."""
    from vgsearch.rerank.checkpoint import is_geowarp
    from vgsearch.rerank.reranking import NamedReranker

    found = {}
    for folder in sorted((home / RERANKERS_FOLDER).glob("*")):
        # A damaged one is no answer to anything.
        with suppress(CheckpointError):
            if is_geowarp(folder):
                found[folder] = NamedReranker.of_checkpoint(folder)
    return found
