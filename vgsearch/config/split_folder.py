"""How a file names a retrieval set: its folder, or one of several query folders in it.

`svox/images/test` means the folder's own `queries`; `svox/images/test#queries_night` means `queries_night`
against the same database. The part after the last `#` names the query folder.
"""

from __future__ import annotations

import os

MARK = "#"
DATABASE_FOLDERS = ("database", "gallery")  # SVOX and the older St Lucia say gallery


def folder_and_queries(split: str) -> tuple[str, str | None]:
    """Take a split apart.

    Args:
        split: a path, maybe with `#QUERIES` at its end.

    Returns:
        The folder, and the name of its query folder; None where the split leaves it to the defaults.
    """
    folder, mark, queries = split.rpartition(MARK)
    if not mark or "/" in queries or os.sep in queries:
        return split, None
    return folder, queries


def folder_on_disk(split: str) -> str:
    """The folder that must be there for a split to be read: the query folder if it names one, else itself."""
    folder, queries = folder_and_queries(split)
    return folder if not queries else os.path.join(folder, queries)


def missing_queries(split: str) -> str | None:
    """Why a split's query folder cannot be found in a folder that is there, or None."""
    folder, queries = folder_and_queries(split)
    if queries is None or not os.path.isdir(folder):
        return None
    if queries in (*DATABASE_FOLDERS, os.curdir, os.pardir):
        return f"{folder} has {queries!r} named after {MARK}, which cannot be queries: name a query folder"
    if queries and os.path.isdir(os.path.join(folder, queries)):
        return None
    there = ", ".join(query_folders(folder)) or "none"
    return f"{folder} has no query folder {queries!r} (named after {MARK}); it has: {there}"


def part_folders(folder: str | os.PathLike[str]) -> list[str]:
    """The database's and all query folders that a folder holds, as paths."""
    found = [name for name in DATABASE_FOLDERS if os.path.isdir(os.path.join(folder, name))]
    return [os.path.join(folder, name) for name in [*found, *query_folders(folder)]]


def query_folders(folder: str | os.PathLike[str]) -> list[str]:
    """Folders in `folder` whose names begin with `queries`, such as `queries_rain`, sorted."""
    try:
        with os.scandir(folder) as entries:
            return sorted(
                entry.name for entry in entries if entry.name.startswith("queries") and entry.is_dir()
            )
    except OSError:
        return []
