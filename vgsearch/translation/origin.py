"""What a folder of changed photos was made of: the record beside them, and the way back."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from vgsearch import __version__
from vgsearch.data.index import ImageIndex
from vgsearch.errors import CheckpointError
from vgsearch.models.plain_yaml import read_plain_yaml

RECORD_NAME = "translation.yaml"

_LONGEST_CHAIN = 16


def write_record(folder: Path, index: ImageIndex, what_was_done: Mapping[str, Any]) -> None:
    """Write `translation.yaml` into the folder of the changed photos.

    Args:
        folder: theirs.
        index: the photos as they were.
        what_was_done: to them, of plain values.
    """
    content = {
        **what_was_done,
        "photos": str(index.root),
        "photos_hash": index.content_hash,
        "num_photos": len(index),
        "vgsearch": __version__,
    }
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    (folder / RECORD_NAME).write_text(text, encoding="utf-8")


def original_of(folder: Path) -> Path:
    """The photos behind a folder of translated or styled ones, however often they were changed.

    Args:
        folder: any folder; one without a record that can be read is its own origin.

    Returns:
        Resolved.
    """
    folder = folder.resolve()
    for _ in range(_LONGEST_CHAIN):
        record = None
        with suppress(CheckpointError):
            record = read_plain_yaml(folder / RECORD_NAME)
        photos = record.get("photos") if isinstance(record, dict) else None
        if not isinstance(photos, str):
            break
        folder = Path(photos).resolve()
    return folder
