"""What a folder was recognised as, in words: where positions and headings come from, and which queries."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vgsearch.config.split_folder import MARK, folder_and_queries, query_folders
from vgsearch.data.check_coordinates import lies_on_a_line, zones_of
from vgsearch.data.csv_layout import CSV_NAME
from vgsearch.data.index import ImageIndex
from vgsearch.data.split_parts import SplitParts


def recognised_images(index: ImageIndex, part: str = "") -> list[str]:
    """Where the positions and headings of some images come from, a line each; `part` goes before them."""
    known = np.isfinite(index.utm_east) & np.isfinite(index.utm_north)
    prefix = f"{part}: " if part else ""
    if not known.any():
        return [f"{prefix}no positions in the names, and no {CSV_NAME}"]
    headings = int(np.isfinite(index.heading_deg).sum())
    facing = f"headings of {headings:,} of {len(index):,}" if headings else "no headings"
    if headings == len(index):
        facing = "headings of all"
    return [f"{prefix}positions from {_source(index)}; {facing}"]


def recognised_split(split: Path, parts: SplitParts) -> list[str]:
    """Which folders serve as database and queries, and what other queries could be named."""
    folder, _ = folder_and_queries(str(split))
    lines = [f"{parts.database.name}/ and {parts.queries.name}/"]
    others = [name for name in query_folders(folder) if name != parts.queries.name]
    if others:
        lines.append(f"other queries, each named as FOLDER{MARK}QUERIES: {', '.join(others)}")
    return lines


def _source(index: ImageIndex) -> str:
    if index.utm_zone is not None:
        return f"{CSV_NAME} (lat, lon), measured in UTM zone {index.utm_zone}"
    if (index.root / CSV_NAME).is_file():
        return f"{CSV_NAME} (utm_east, utm_north)"
    if lies_on_a_line(index):
        return "the names, on a line (UTM_east 0)"
    zones = sorted(zones_of(index))
    named = f", UTM zone {zones[0]}" if len(zones) == 1 else f", {len(zones)} UTM zones" if zones else ""
    return f"the names{named}"
