"""What a folder of changed photos was made of, as the record beside them says."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from vgsearch.errors import CheckpointError
from vgsearch.models.plain_yaml import read_plain_yaml

RECORD_NAME = "translation.yaml"

_LONGEST_CHAIN = 16


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
