"""A retrieval set of the night queries of another one over its whole database, as Tokyo Night is of Tokyo XS.

Paper, section 4.1: "although the database is exactly the same, the queries are formed by the Tokyo XS queries
taken at night"; 105 of 315.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml

from vgsearch.data.csv_layout import CSV_NAME
from vgsearch.data.index import ImageIndex
from vgsearch.data.linked_folder import link, link_images, new_folder
from vgsearch.data.night_queries import NightQueries
from vgsearch.data.split_parts import find_parts

RECORD_NAME = "tokyo_night.yaml"


def write_night_set(
    split: Path, queries: ImageIndex, night: NightQueries, out: Path, *, copy: bool = False
) -> None:
    """Write `out/database`, one link to the whole database, and `out/queries`, a link for each night query.

    Names stay, so that recalls compare and descriptors of the database are found again. Beside them lies
    `tokyo_night.yaml`, which no index reads: source, rule and counts.

    Args:
        split: the set to take them from; see `find_parts`.
        queries: its queries, indexed with coordinates.
        night: which of them.
        out: the new folder.
        copy: copies instead of links.

    Raises:
        DataError: `out` exists, or `split` is no retrieval set.
        StorageError: `out` cannot be written, or its file system has no links.
    """
    parts = find_parts(split)
    chosen = np.flatnonzero(night.is_night).tolist()
    names = [queries.paths[i] for i in chosen]
    record = {
        "database": str(parts.database.resolve()),
        "queries": str(parts.queries.resolve()),
        "rule": night.rule,
        "luminance_threshold": night.luminance_threshold,
        "night_queries": len(chosen),
        "all_queries": len(queries),
    }
    with new_folder(out) as work:
        link(parts.database, work / "database", copy=copy)
        (work / "queries").mkdir()
        link_images([queries.absolute(i) for i in chosen], work / "queries", names, copy=copy)
        if (queries.root / CSV_NAME).is_file():
            (work / "queries" / CSV_NAME).write_text(_csv(queries, chosen), encoding="utf-8")
        (work / RECORD_NAME).write_text(yaml.safe_dump(record, sort_keys=False), encoding="utf-8")


def _csv(queries: ImageIndex, chosen: Sequence[int]) -> str:
    """The chosen rows in metres of the zone that the database is in; an unknown number is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "utm_east", "utm_north", "heading"])
    for i in chosen:
        row = (queries.utm_east[i], queries.utm_north[i], queries.heading_deg[i])
        writer.writerow([queries.paths[i], *("" if np.isnan(value) else repr(float(value)) for value in row)])
    return text.getvalue()
