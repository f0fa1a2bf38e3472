"""What the data says of every run on it, as tags for the record."""

from __future__ import annotations

from pathlib import Path

from vgsearch.config.search import DataConfig
from vgsearch.data.target_domain import read_target_record
from vgsearch.registry.names import TRANSDUCTIVE_TAG


def data_tags(data: DataConfig) -> dict[str, str]:
    """Tags of a search, its trials and their versions.

    Args:
        data: with absolute folders.

    Returns:
        `vgsearch.transductive` where a target domain may hold queries of the tests; else nothing.

    Raises:
        DataError: a target domain's record is damaged.
    """
    tags: dict[str, str] = {}
    for folder in data.target_domains.values():
        tags |= folder_tags(folder)
    return tags


def folder_tags(folder: str) -> dict[str, str]:
    """What one target domain adds to `data_tags`."""
    record = read_target_record(Path(folder))
    return {TRANSDUCTIVE_TAG: "true"} if record is not None and record.transductive else {}
