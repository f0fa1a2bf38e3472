"""Everything worth knowing about a folder before a search spends days on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vgsearch.config.trial import CellsConfig
from vgsearch.data.cells import all_groups, assign_groups
from vgsearch.data.check_coordinates import check_coordinates, check_zones, zones_of
from vgsearch.data.check_files import decode_all, duplicate_contents, duplicate_names, overlap
from vgsearch.data.check_report import CellSummary, FolderReport, Problem, by_severity
from vgsearch.data.index import ImageIndex, index_folder
from vgsearch.data.recognise import recognised_images, recognised_split
from vgsearch.data.retrieval_set import index_parts, nearest_distance_m, queries_with_positive
from vgsearch.data.split_parts import find_parts, looks_like_a_split
from vgsearch.data.target_domain import read_target_record
from vgsearch.errors import DataError

_SIZES_REPORTED = 3

Progress = Callable[[int, int], None]


def check_folder(
    folder: Path,
    cells: CellsConfig | None = None,
    positive_distance_m: float = 25,
    decode: bool = True,
    *,
    as_train: bool = False,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
) -> FolderReport:
    """Check training photos, a retrieval set or unlabelled photos.

    Args:
        folder: what to look at; of a retrieval set also `FOLDER#QUERIES`, see `find_parts`.
        cells: the setting whose classes and groups are counted, with variations; None for the defaults.
        positive_distance_m: within it a database image is a query's positive.
        decode: read every image, and compare the bytes of those that may be the same.
        as_train: take a folder with database and queries as training photos, all below it.
        cache_dir: see `index_folder`.
        progress: told (images decoded, images in all) now and then.

    Raises:
        DataError: there is no folder, no image in it, half a retrieval set, or its CSV cannot be read. All
            else is reported.
    """
    folder = Path(folder)
    if looks_like_a_split(folder) and not as_train:
        return _check_retrieval_set(folder, positive_distance_m, decode, cache_dir, progress)
    index = index_folder(folder, cache_dir=cache_dir)
    counts = {"images": len(index)}
    files = _check_files({"images": index}, decode, counts, progress)
    problems = ([] if as_train else _nested_sets(folder)) + files[0]
    recognised = tuple(recognised_images(index))
    record = read_target_record(folder)
    if record is not None and record.transductive:
        problems.append(Problem("note", "transductive: queries of a test are among these photos"))
    if not np.isfinite(index.utm_east).any():
        note = "no image has UTM coordinates: good as data.target_domain, not for training or scoring"
        problems.append(Problem("note", note))
        return FolderReport(folder, "unlabelled", counts, files[1], (), by_severity(problems), recognised)
    problems += check_coordinates(index, "images") + check_zones(zones_of(index), "images")
    summaries, cell_problems = _check_cells(index, CellsConfig() if cells is None else cells, counts)
    problems += cell_problems
    return FolderReport(folder, "training", counts, files[1], summaries, by_severity(problems), recognised)


def _check_retrieval_set(
    folder: Path, positive_distance_m: float, decode: bool, cache_dir: Path | None, progress: Progress | None
) -> FolderReport:
    database, queries = index_parts(folder, cache_dir=cache_dir)
    recognised = recognised_split(folder, find_parts(folder))
    counts = {"database images": len(database), "queries": len(queries)}
    parts = {"database images": database, "queries": queries}
    file_problems, sizes = _check_files(parts, decode, counts, progress)
    problems = file_problems + overlap(database, queries)
    for part, index in parts.items():
        recognised += recognised_images(index, part)
        problems += check_coordinates(index, part)
    problems += check_zones(zones_of(database) | zones_of(queries), "database and queries")
    if all(np.isfinite(index.utm_east + index.utm_north).all() for index in parts.values()):
        problems += _check_positives(database, queries, positive_distance_m, counts)
    return FolderReport(folder, "retrieval", counts, sizes, (), by_severity(problems), tuple(recognised))


def _check_positives(
    database: ImageIndex, queries: ImageIndex, positive_distance_m: float, counts: dict[str, int]
) -> list[Problem]:
    positive = queries_with_positive(database, queries, positive_distance_m)
    without = int((~positive).sum())
    counts["queries without positive"] = without
    if not without:
        return []
    first = queries.paths[int(np.argmin(positive))]
    text = f"{without} of {len(queries)} queries have no database image within {positive_distance_m:g} m"
    if without == len(queries):
        nearest_m = nearest_distance_m(database, queries).min()
        return [Problem("error", f"{text}; the nearest is {nearest_m:,.1f} m away")]
    ceiling = 100 * (1 - without / len(queries))
    return [
        Problem(
            "warning", f"{text}, first {first!r}: they count as failures, no recall exceeds {ceiling:.1f}"
        )
    ]


def _check_files(
    parts: dict[str, ImageIndex], decode: bool, counts: dict[str, int], progress: Progress | None
) -> tuple[list[Problem], tuple[tuple[int, int, int], ...]]:
    """Names, and if asked for contents, of each part; and the commonest image sizes."""
    problems: list[Problem] = []
    sizes: Counter[tuple[int, int]] = Counter()
    total, done, unreadable = sum(map(len, parts.values())), 0, 0

    def advance(more: int) -> None:
        nonlocal done
        done += more
        if progress is not None:
            progress(done, total)

    for part, index in parts.items():
        problems += duplicate_names(index, part)
        if decode:
            decoded = decode_all(index, part, advance)
            problems += decoded.problems + duplicate_contents(index, part)
            sizes += decoded.sizes
            unreadable += decoded.num_unreadable
    if decode:
        counts["unreadable"] = unreadable
    return problems, tuple((*size, count) for size, count in sizes.most_common(_SIZES_REPORTED))


def _check_cells(
    index: ImageIndex, cells: CellsConfig, counts: dict[str, int]
) -> tuple[tuple[CellSummary, ...], list[Problem]]:
    """Classes and groups of the setting asked for and of settings around it."""
    no_heading = int(np.isnan(index.heading_deg).sum())
    counts["images without heading"] = no_heading
    if not np.isfinite(index.utm_east + index.utm_north).all():
        return (), []  # reported with the coordinates
    try:
        summaries = tuple(_summarise(index, cells, setting) for setting in _variations(cells))
    except DataError as error:
        return (), [Problem("error", str(error))]
    problems = []
    headings = np.unique(index.heading_deg)
    if len(headings) == 1 and len(index) > 1 and no_heading == 0:
        problems.append(Problem("note", f"all headings are {headings[0]:g}: heading_deg splits no class"))
    try:
        assign_groups(index, cells)
    except DataError as error:
        problems.append(Problem("error", str(error)))
    return summaries, problems


def _variations(cells: CellsConfig) -> list[dict[str, int]]:
    """Changes worth a look: other least images per class, and cells of twice the size."""
    changes = [{"min_images": least} for least in (1, 3, 5, 10) if least != cells.min_images]
    changes.append({"cell_m": 2 * cells.cell_m})
    if cells.heading_deg < 360:
        changes.append({"heading_deg": min(360, 2 * cells.heading_deg)})
    return [{}, *changes]


def _summarise(index: ImageIndex, cells: CellsConfig, change: dict[str, int]) -> CellSummary:
    changed = CellsConfig.model_validate({**cells.model_dump(), **change})
    groups = all_groups(index, changed)
    setting = ", ".join(f"{key}={value}" for key, value in change.items())
    num_images = sum(len(group.image_ids) for group in groups)
    return CellSummary(setting, changed, num_images, tuple(group.num_classes for group in groups))


def _nested_sets(folder: Path) -> list[Problem]:
    """A dataset's root holds sets of its own; taken as one folder of photos they would mix."""
    nested = sorted(child.name for child in folder.iterdir() if child.is_dir() and looks_like_a_split(child))
    if not nested:
        return []
    text = (
        f"{', '.join(nested)} below {folder} are retrieval sets: check each on its own, they are mixed here"
    )
    return [Problem("warning", text)]
