"""Training photos as a gallery and queries, class by class, for methods that learn from such pairs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vgsearch.config.trial import CellsConfig
from vgsearch.data.cells import all_groups
from vgsearch.data.draws import Salt, random_bits
from vgsearch.data.index import ImageIndex
from vgsearch.errors import DataError


def split_gallery(
    index: ImageIndex, *, cell_m: int, heading_deg: int, query_fraction: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Take a part of every class as queries, at random; the rest is the gallery.

    Which photos of a class are queries depends on the seed and on their rows alone.

    Args:
        index: n photos with coordinates, and with headings unless `heading_deg` is 360.
        cell_m: Side of a class.
        heading_deg: Headings of a class.
        query_fraction: Part of a class, rounded down, so that a small class may have no query.
        seed: >= 0.

    Returns:
        Rows of gallery and queries, int64, ascending; together all of them.

    Raises:
        DataError: A photo has no coordinates or heading, or no class is large enough for a query.
    """
    cells = CellsConfig(
        cell_m=cell_m, heading_deg=heading_deg, groups_across=1, groups_heading=1, groups_used=1, min_images=1
    )
    (group,) = all_groups(index, cells)
    counts = np.diff(group.offsets)
    classes = np.repeat(np.arange(group.num_classes), counts)
    drawn = random_bits((Salt.GALLERY_SPLIT, seed), group.image_ids, 1)[:, 0]
    shuffled = group.image_ids[np.lexsort((drawn, classes))]
    position = np.arange(len(shuffled)) - np.repeat(group.offsets[:-1], counts)
    # A product such as 0.2 * 5 must not fall below its whole number by rounding.
    is_query = position < np.floor(query_fraction * counts + 1e-9)[classes]
    if not is_query.any():
        raise DataError(
            f"no class of {index.root} has enough photos for a query at query_fraction {query_fraction:g} "
            f"(the fullest has {counts.max()}): raise data.query_fraction, data.cell_m or data.heading_deg"
        )
    return np.sort(shuffled[~is_query]), np.sort(shuffled[is_query])
