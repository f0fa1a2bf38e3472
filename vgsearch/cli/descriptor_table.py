"""The list of stored descriptors: a block for each model and its settings, a line for each list of images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from vgsearch.cli.sizes import readable_size

if TYPE_CHECKING:
    from vgsearch.retrieval.descriptor_entry import EntryRecord
    from vgsearch.retrieval.descriptor_upkeep import StoredEntry

KEY_SHOWN = 8


def entry_blocks(entries: Sequence[StoredEntry]) -> list[tuple[str, Table]]:
    """A heading and its table for each model, in the order of the entries.

    A model's name may be long and stands alone in its line, so that it can be copied; the tables fit
    into 80 columns, and their columns are of one width so that the blocks read as one table.
    """
    blocks: dict[str, Table] = {}
    for entry in entries:
        heading = _heading(entry.record)
        table = blocks.get(heading)
        if table is None:
            table = blocks[heading] = _new_table(show_header=not blocks)
        record = entry.record
        table.add_row(
            entry.name[:KEY_SHOWN],
            readable_size(entry.size_bytes),
            made_at(record) if record else "",
            f"{record.num_images:,} x {record.dim}" if record else "",
            images_of(record) if record else "made anew at its next use",
        )
    return list(blocks.items())


def in_words(entry: StoredEntry) -> str:
    """`models:/vgsearch-grl/3 on val_day/database`."""
    record = entry.record
    return "a damaged entry" if record is None else f"{model_of(record)} on {images_of(record)}"


def model_of(record: EntryRecord) -> str:
    """What the model was called, or the beginning of its weights' hash."""
    return record.model or f"weights {str(record.key.get('weights_sha256'))[:12]}"


def images_of(record: EntryRecord) -> str:
    """The last two folders of a path: `val_day/database`."""
    return "/".join(Path(record.images).parts[-2:])


def made_at(record: EntryRecord) -> str:
    """Local time to the minute."""
    try:
        return datetime.fromisoformat(record.made_at).astimezone().strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError, OSError):
        return "?"


def _heading(record: EntryRecord | None) -> str:
    """`models:/vgsearch-grl/3 (resize_px 480, query_method native, bf16 on cpu)`."""
    if record is None:
        return "damaged"
    try:
        settings = dict(json.loads(str(record.key.get("preprocessing"))))
    except (ValueError, TypeError):
        settings = {}
    words = [f"{key} {value}" for key, value in settings.items() if value is not None]
    return f"{model_of(record)} ({', '.join([*words, str(record.key.get('arithmetic'))])})"


def _new_table(*, show_header: bool) -> Table:
    table = Table(
        box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold", show_header=show_header
    )
    table.add_column("key", width=KEY_SHOWN, no_wrap=True)
    table.add_column("size", width=7, no_wrap=True, justify="right")
    table.add_column("made", width=16, no_wrap=True)
    table.add_column("rows", width=16, no_wrap=True, justify="right")
    table.add_column("images", overflow="fold")
    return table
