"""Where the database and the queries of a split lie: the folder names that datasets use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vgsearch.config.split_folder import (
    DATABASE_FOLDERS,
    MARK,
    folder_and_queries,
    missing_queries,
    query_folders,
)
from vgsearch.errors import DataError

QUERY_FOLDERS = ("queries", "queries_v1")


@dataclass(frozen=True)
class SplitParts:
    """The two folders of a split, as given or relative to where it was."""

    database: Path
    queries: Path


def find_parts(split: Path) -> SplitParts:
    """Find both folders of a split.

    Args:
        split: a folder that holds `database` (or `gallery`) and `queries` (or `queries_v1`), or
            `FOLDER#NAME` for another query folder of it.

    Raises:
        DataError: a part is not there; the message lists the query folders that are.
    """
    missing = missing_queries(str(split))
    if missing is not None:
        raise DataError(missing)
    folder_text, name = folder_and_queries(str(split))
    folder = Path(folder_text)
    database = find_database_folder(folder)
    queries = find_query_folder(folder) if name is None else folder / name
    if database is not None and queries is None and (others := query_folders(folder)):
        ways = " or ".join(f"{folder}{MARK}{other}" for other in others)
        raise DataError(f"{folder} has no {' or '.join(QUERY_FOLDERS)}: say which queries, {ways}")
    if database is None or queries is None:
        raise DataError(
            f"{folder} is no retrieval set: it must be a folder that holds {_listed(DATABASE_FOLDERS)} "
            f"and {_listed(QUERY_FOLDERS)}"
        )
    return SplitParts(database, queries)


def looks_like_a_split(split: Path) -> bool:
    """Whether a path names a query folder, or is a folder with a database or queries in it."""
    folder, name = folder_and_queries(str(split))
    return name is not None or find_database_folder(Path(folder)) is not None or bool(query_folders(folder))


def find_database_folder(folder: Path) -> Path | None:
    """The first of `database` and `gallery` that is there."""
    return next((folder / part for part in DATABASE_FOLDERS if (folder / part).is_dir()), None)


def find_query_folder(folder: Path) -> Path | None:
    """The first of `queries` and `queries_v1` that is there."""
    return next((folder / part for part in QUERY_FOLDERS if (folder / part).is_dir()), None)


def _listed(folders: tuple[str, ...]) -> str:
    return " or ".join(f"{part}/" for part in folders)
