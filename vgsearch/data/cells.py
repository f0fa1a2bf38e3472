"""CosPlace's classes and groups (Berton et al., CVPR 2022): geographic cells with a heading, kept apart.

class = (east // M * M, north // M * M, heading // a * a)
group = (class.east % (M*N) // M, class.north % (M*N) // M, class.heading % (a*L) // a)

with M = `cell_m`, a = `heading_deg`, N = `groups_across`, L = `groups_heading`. Two classes of one group are
at least M*(N-1) metres or a*(L-1) degrees apart, so that a classifier can tell them apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vgsearch.config.trial import CellsConfig
from vgsearch.data.index import ImageIndex, require_coordinates
from vgsearch.errors import CellsError, DataError

_EXACT = 2.0**53  # below it a double holds every whole number, and cell arithmetic is exact

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class CellGroup:
    """The c classes of one group, with the m images that fall into them.

    Attributes:
        class_keys: lower corner and heading of each class, (east m, north m, heading degrees), int64 (c, 3).
        offsets: class `k` owns `image_ids[offsets[k]:offsets[k + 1]]`, int64 (c + 1,).
        image_ids: rows of the index, in path order within a class, int64 (m,).
    """

    class_keys: Ints
    offsets: Ints
    image_ids: Ints

    @property
    def num_classes(self) -> int:
        """How many classes a classifier of this group tells apart."""
        return len(self.class_keys)

    def images_of(self, class_id: int) -> Ints:
        """Rows of the index that belong to class `class_id`."""
        return self.image_ids[self.offsets[class_id] : self.offsets[class_id + 1]]


def assign_groups(index: ImageIndex, cells: CellsConfig) -> list[CellGroup]:
    """The first `groups_used` groups, numbered as CosPlace numbers them; each trains in its own epochs.

    Raises:
        DataError: an image without coordinates, or without heading where `heading_deg` is below 360, no class
            with `min_images` images, or fewer groups than `groups_used`; the message says which setting to
            relax.
    """
    groups = all_groups(index, cells)
    if not groups:
        fullest = int(np.diff(_runs(_class_keys(index, cells))[1]).max())
        raise CellsError(
            f"no cell of {index.root} holds min_images={cells.min_images} images (the fullest: {fullest}): "
            f"lower trial.cells.min_images, or raise trial.cells.cell_m (now {cells.cell_m}) or "
            f"trial.cells.heading_deg (now {cells.heading_deg})"
        )
    if len(groups) < cells.groups_used:
        raise CellsError(
            f"the classes of {index.root} form {len(groups)} groups, fewer than "
            f"groups_used={cells.groups_used}: lower trial.cells.groups_used to {len(groups)} or less, lower "
            f"trial.cells.min_images (now {cells.min_images}), or raise trial.cells.groups_across or "
            f"groups_heading"
        )
    return groups[: cells.groups_used]


def all_groups(index: ImageIndex, cells: CellsConfig) -> list[CellGroup]:
    """Every group of the index, maybe none.

    Groups are numbered, and the classes of a group ordered, by their first image among the kept classes in
    path order. The numbering is CosPlace's; the order inside a group is arbitrary there (a Python set's).

    Raises:
        DataError: an image has no coordinates, or no heading where `heading_deg` is below 360, or they are
            beyond exact whole numbers.
    """
    keys = _class_keys(index, cells)
    by_class, borders = _runs(keys)
    counts = np.diff(borders)
    kept = np.flatnonzero(counts >= cells.min_images)
    kept = kept[np.argsort(by_class[borders[kept]])]  # a run begins with its first image in path order
    class_keys = keys[by_class[borders[kept]]]
    groups: list[CellGroup] = []
    for members in _groups_by_first_class(class_keys, cells):
        of_group = kept[members]
        offsets = np.concatenate(([0], np.cumsum(counts[of_group])))
        # Row r of class k is by_class[borders[k] + r - offsets[k]]: one gather, no loop over classes.
        rows = np.arange(offsets[-1]) + np.repeat(borders[of_group] - offsets[:-1], counts[of_group])
        groups.append(CellGroup(class_keys[members], offsets, by_class[rows]))
    return groups


def _class_keys(index: ImageIndex, cells: CellsConfig) -> Ints:
    """Class of each image, int64 (n, 3). Floor division of the doubles themselves, as in CosPlace."""
    whole_circle = cells.heading_deg == 360
    require_coordinates(index, heading=not whole_circle)
    heading = index.heading_deg
    if whole_circle:  # one class for all directions, known or not
        heading = np.where(np.isnan(heading), 0.0, heading)
    columns = []
    for values, step in (
        (index.utm_east, cells.cell_m),
        (index.utm_north, cells.cell_m),
        (heading, cells.heading_deg),
    ):
        too_large = np.abs(values) >= _EXACT
        if too_large.any():
            first = int(np.argmax(too_large))
            raise DataError(
                f"{index.absolute(first)}: {values[first]:g} is no coordinate in metres or degrees"
            )
        columns.append((values // step * step).astype(np.int64))
    return np.stack(columns, axis=1)


def _runs(keys: Ints) -> tuple[Ints, Ints]:
    """Rows sorted so that equal keys lie together, in row order among themselves; and where each run begins.

    Returns:
        The order, int64 (n,), and the borders of its runs, int64 (runs + 1,).
    """
    order = np.lexsort(keys.T)
    ordered = keys[order]
    new = np.flatnonzero((ordered[1:] != ordered[:-1]).any(axis=1)) + 1
    return order, np.concatenate(([0], new, [len(keys)]))


def _groups_by_first_class(class_keys: Ints, cells: CellsConfig) -> list[Ints]:
    """Positions of each group's classes, ascending; groups ordered by their first class."""
    if not len(class_keys):
        return []
    steps = np.array([cells.cell_m, cells.cell_m, cells.heading_deg])
    counts = np.array([cells.groups_across, cells.groups_across, cells.groups_heading])
    order, borders = _runs(class_keys % (steps * counts) // steps)
    members = [order[a:b] for a, b in zip(borders[:-1], borders[1:], strict=True)]
    return sorted(members, key=lambda positions: int(positions[0]))
