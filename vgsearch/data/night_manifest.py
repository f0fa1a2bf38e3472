"""A list of which queries are night, as CSV: whoever knows better than the names writes it down."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from vgsearch.data.night_rules import NIGHT, NOT_NIGHT, UNKNOWN, Verdicts, verdict_of_word
from vgsearch.errors import DataError

_YES, _NO = ("1", "true", "yes", "night"), ("0", "false", "no", "day")
_COLUMNS = "path (or name), and night (yes or no) or time_of_day (night, day, sunset, ...)"


def by_manifest(manifest: Path, paths: Sequence[str]) -> Verdicts:
    """Look each query up by its path, or by its file name alone.

    Args:
        manifest: a CSV with a header, its columns `path` or `name`, and `night` or `time_of_day`; others are
            ignored, and so are rows of images that are no query.
        paths: the queries, relative to their folder.

    Returns:
        int8 (q,), `UNKNOWN` for a query that is not listed.

    Raises:
        DataError: the file cannot be read, lacks a column, holds a value that says nothing, or lists a query
            twice and differently.
    """
    said = _read(manifest)
    verdicts = [said.get(path, said.get(PurePosixPath(path).name, UNKNOWN)) for path in paths]
    return np.array(verdicts, np.int8)


def _read(manifest: Path) -> dict[str, int]:
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            header = [name.strip().lower() for name in reader.fieldnames or ()]
            reader.fieldnames = header
            key = next((name for name in ("path", "name") if name in header), None)
            column = next((name for name in ("night", "time_of_day") if name in header), None)
            if key is None or column is None:
                raise DataError(f"{manifest} needs the columns {_COLUMNS}, but its first line is {header}")
            said: dict[str, int] = {}
            for row in reader:
                name = str(PurePosixPath((row[key] or "").strip()))
                verdict = _verdict(manifest, reader.line_num, column, (row[column] or "").strip())
                if said.setdefault(name, verdict) != verdict:
                    raise DataError(f"{manifest}:{reader.line_num}: {name} is listed before, and differently")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{manifest} cannot be read as CSV in UTF-8: {error}") from error
    return said


def _verdict(manifest: Path, line: int, column: str, value: str) -> int:
    low = value.lower()
    if column == "night" and (low in _YES or low in _NO):
        return NIGHT if low in _YES else NOT_NIGHT
    verdict = verdict_of_word(value) if column == "time_of_day" else UNKNOWN
    if verdict == UNKNOWN:
        choices = "yes or no" if column == "night" else "a time of day such as night, day or sunset"
        raise DataError(f"{manifest}:{line}: {column} must be {choices}, got {value!r}")
    return verdict
