"""Can every image be decoded, and is each of them there once?"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from vgsearch.data.check_coordinates import lies_on_a_line
from vgsearch.data.check_report import Problem
from vgsearch.data.content import content_keys, file_sizes, shared_images
from vgsearch.data.decode import read_image
from vgsearch.data.index import ImageIndex
from vgsearch.errors import ImageError

_MAX_THREADS = 8
_CHUNK = 512  # images handed to the threads at once: bounds memory on folders of any size
_NAMED = 5  # unreadable images that are listed one by one


@dataclass(frozen=True)
class Decoded:
    """Outcome of decoding every image: problems, and how often each (height, width) came."""

    problems: list[Problem]
    sizes: Counter[tuple[int, int]]
    num_unreadable: int


def decode_all(index: ImageIndex, part: str, advance: Callable[[int], None] = lambda _: None) -> Decoded:
    """Decode every image, some at a time.

    Args:
        index: the images.
        part: what messages call them.
        advance: told how many more images are done.
    """
    sizes: Counter[tuple[int, int]] = Counter()
    unreadable: list[str] = []
    with ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1)) as pool:
        for begin in range(0, len(index), _CHUNK):
            ids = range(begin, min(begin + _CHUNK, len(index)))
            for outcome in pool.map(lambda i: _decode(index.absolute(i)), ids):
                if isinstance(outcome, str):
                    unreadable.append(outcome)
                else:
                    sizes[outcome] += 1
            advance(len(ids))
    problems = [Problem("error", reason) for reason in unreadable[:_NAMED]]
    if len(unreadable) > _NAMED:
        rest = f"{len(unreadable)} of {len(index)} {part} cannot be read; the first {_NAMED} are named"
        problems.append(Problem("error", rest))
    return Decoded(problems, sizes, len(unreadable))


def duplicate_names(index: ImageIndex, part: str) -> list[Problem]:
    """File names that stand in several folders."""
    places: dict[str, list[str]] = defaultdict(list)
    for path in index.paths:
        places[PurePosixPath(path).name].append(path)
    repeated = [paths for paths in places.values() if len(paths) > 1]
    if not repeated:
        return []
    first, second = repeated[0][:2]
    return [
        Problem(
            "warning",
            f"{len(repeated)} file names of {part} stand in several folders, first {first!r} and {second!r}",
        )
    ]


def duplicate_contents(index: ImageIndex, part: str) -> list[Problem]:
    """Images that are byte for byte the same; only files of equal size are read."""
    sizes = file_sizes(index)
    values, counts = np.unique(sizes[sizes > 0], return_counts=True)
    suspects = np.flatnonzero(np.isin(sizes, values[counts > 1]))
    places: dict[bytes, list[str]] = defaultdict(list)
    for i, key in content_keys(index, suspects.tolist()):
        places[key].append(index.paths[i])
    repeated = [paths for paths in places.values() if len(paths) > 1]
    if not repeated:
        return []
    first, second = repeated[0][:2]
    surplus = sum(map(len, repeated)) - len(repeated)
    return [
        Problem(
            "warning",
            f"{surplus} of {len(index)} {part} repeat another's bytes, first {second!r} those of {first!r}",
        )
    ]


def overlap(database: ImageIndex, queries: ImageIndex) -> list[Problem]:
    """Queries that are in the database already, by bytes or by file name: found without any skill."""
    by_name = {PurePosixPath(path).name: path for path in database.paths}
    same_bytes = {i: database.paths[twin] for i, twin in shared_images(queries, database).items()}
    same_name = [
        i
        for i, path in enumerate(queries.paths)
        if i not in same_bytes and PurePosixPath(path).name in by_name
    ]
    problems = []
    if same_bytes:
        first, twin = next(iter(same_bytes.items()))
        problems.append(
            Problem(
                "error",
                f"{len(same_bytes)} of {len(queries)} queries are in the database byte for byte, first "
                f"{queries.paths[first]!r} as {twin!r}: recall would count them as found",
            )
        )
    if same_name and not lies_on_a_line(queries):  # there both are called by their place alone
        problems.append(
            Problem(
                "warning",
                f"{len(same_name)} of {len(queries)} queries share a file name with a database image of "
                f"other content, first {queries.paths[same_name[0]]!r}",
            )
        )
    return problems


def _decode(path: Path) -> tuple[int, int] | str:
    try:
        _, height, width = read_image(path).shape
    except ImageError as error:
        return str(error)
    return height, width
