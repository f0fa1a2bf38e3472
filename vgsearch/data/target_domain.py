"""Unlabelled photos of a target domain, gathered by links, and kept apart from the queries of tests.

A network that adapts to the very queries it is tested on is transductive: its recall says nothing about new
photos. So such photos are refused unless that is what is wanted, and then it is written down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import yaml

from vgsearch.data.content import content_key, shared_images
from vgsearch.data.draws import Salt, random_permutation
from vgsearch.data.index import ImageIndex
from vgsearch.data.linked_folder import link_images, new_folder, refuse_existing
from vgsearch.data.names import ZONE, name_field
from vgsearch.errors import DataError

RECORD_NAME = "target_domain.yaml"


@dataclass(frozen=True)
class TargetRecord:
    """Where the photos of a target domain come from, as `target_domain.yaml` beside them says.

    Attributes:
        transductive: whether queries of tests may be among them.
        images: how many there are.
        sources: images taken from each folder.
        repeated: photos met that had the bytes of one taken already.
        left_out: photos left out because they are queries of a test.
        limit: how many were asked for at most; None for all.
        seed: of the draw, where `limit` cut some off.
        test_queries: the tests that were looked at, by name or folder, with how many of their queries were
            among the photos to draw from and not left out.
    """

    transductive: bool
    images: int
    sources: Mapping[str, int]
    repeated: int
    left_out: int
    limit: int | None
    seed: int
    test_queries: Mapping[str, int]


@dataclass(frozen=True)
class Leak:
    """Photos that are queries of a test.

    Attributes:
        test: the test's name or folder.
        queries: each photo's query, relative to the folder of queries.
    """

    test: str
    queries: Mapping[Path, str]


def gather(
    indexes: Sequence[ImageIndex],
    out: Path,
    tests: Mapping[str, ImageIndex],
    *,
    limit: int | None = None,
    seed: int = 0,
    transductive: bool = False,
    leave_out: bool = False,
    copy: bool = False,
) -> TargetRecord:
    """Link the photos of some folders into a new target-domain folder, each content once.

    A link is called by the hash of its photo's bytes, so that names from different folders never clash, and
    coordinates in a name are not passed on.

    Args:
        indexes: the folders.
        out: the new folder; its record lies beside the links.
        tests: queries of tests that must not be among the photos.
        limit: draw so many at random; None takes all.
        seed: of that draw.
        transductive: take queries of tests as well, and write it down.
        leave_out: leave them out instead of refusing.
        copy: copies instead of links.

    Raises:
        DataError: `out` exists, a photo cannot be read, no photo is left, or queries of a test are among
            the photos.
        StorageError: `out` cannot be written.
    """
    refuse_existing(out)
    leaks = [leak(indexes, test, queries) for test, queries in tests.items()]
    left_out: set[Path] = set()
    if not transductive:
        if not leave_out:
            refuse(leaks)
        left_out = {photo for each in leaks for photo in each.queries}
    places = [(index, i) for index in indexes for i in range(len(index)) if index.absolute(i) not in left_out]
    order = np.arange(len(places))
    if limit is not None and limit < len(places):
        order = random_permutation((Salt.TARGET_CHOICE, seed), len(places))
    chosen: dict[str, tuple[ImageIndex, int]] = {}
    repeated = 0
    for index, i in (places[k] for k in order.tolist()):
        if len(chosen) == limit:
            break
        key = _key(index.absolute(i))
        repeated += key in chosen
        chosen.setdefault(key, (index, i))
    if not chosen:
        raise DataError(f"no photo is left for {out}: all of them are queries of the tests")
    record = TargetRecord(
        transductive=transductive,
        images=len(chosen),
        sources={str(each.root): sum(index is each for index, _ in chosen.values()) for each in indexes},
        repeated=repeated,
        left_out=len(left_out),
        limit=limit,
        seed=seed,
        test_queries={each.test: len(each.queries) if transductive else 0 for each in leaks},
    )
    photos = {key: index.absolute(i) for key, (index, i) in sorted(chosen.items())}
    names = [key + photo.suffix.lower() for key, photo in photos.items()]
    with new_folder(out) as work:
        link_images(list(photos.values()), work, names, copy=copy)
        (work / RECORD_NAME).write_text(yaml.safe_dump(asdict(record), sort_keys=False), encoding="utf-8")
    return record


def leak(photos: Sequence[ImageIndex], test: str, queries: ImageIndex) -> Leak:
    """Find the photos that are queries of a test, by content or by a name that holds coordinates.

    A name alone counts only in SF-XS layout: `00001.jpg` is many a photo's.
    """
    by_name = {name: path for path in queries.paths if _tells(name := PurePosixPath(path).name)}
    found: dict[Path, str] = {}
    for index in photos:
        twins = shared_images(index, queries)
        for i, path in enumerate(index.paths):
            query = queries.paths[twins[i]] if i in twins else by_name.get(PurePosixPath(path).name)
            if query is not None:
                found[index.absolute(i)] = query
    return Leak(test, found)


def refuse(leaks: Sequence[Leak]) -> None:
    """Refuse photos that are queries of a test.

    Raises:
        DataError: there are some; names the first test, photo and query.
    """
    for each in leaks:
        if each.queries:
            photo, query = next(iter(each.queries.items()))
            alias = "" if photo.name == PurePosixPath(query).name else f" (there {query})"
            raise DataError(
                f"{len(each.queries)} photos of the target domain are queries of the test {each.test}, first "
                f"{photo}{alias}: gather them anew with `vgsearch data target-domain`, which takes "
                f"--leave-out, or --transductive where adapting to the test itself is meant"
            )


def read_target_record(folder: Path) -> TargetRecord | None:
    """What a folder's `target_domain.yaml` says; None where it has none.

    Raises:
        DataError: the file is damaged.
    """
    path = folder / RECORD_NAME
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        record = TargetRecord(**content)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        raise DataError(
            f"{path} is damaged: make the folder again with `vgsearch data target-domain`"
        ) from error
    if not isinstance(record.transductive, bool):
        raise DataError(f"{path}: transductive must be true or false, got {record.transductive!r}")
    return record


def _key(photo: Path) -> str:
    try:
        return content_key(photo).hex()
    except OSError as error:
        raise DataError(f"{photo} cannot be read ({error.strerror}): mend or remove it") from error


def _tells(name: str) -> bool:
    """Whether a file name holds a place on earth, so that no two photos share it by chance.

    Names that only count along a line (Nordland) are shared by a query and its database image.
    """
    return name.startswith("@") and bool(name_field(name, ZONE))
