"""A fifth of every class, whoever counts."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from vgsearch.data.gallery_split import split_gallery
from vgsearch.data.index import ImageIndex
from vgsearch.errors import DataError

CLASSES = {"cell_m": 10, "heading_deg": 30}


def drawn_index(count, seed=0):
    rng = np.random.default_rng(seed)
    east, north, heading = rng.uniform(0, 40, count), rng.uniform(0, 20, count), rng.uniform(0, 360, count)
    return ImageIndex(Path("/x"), tuple(map(str, range(count))), east, north, heading, "key")


@pytest.mark.parametrize(("fraction", "heading_deg"), [(0.2, 30), (0.2, 360), (0.55, 90)])
def test_every_class_gives_its_part(fraction, heading_deg):
    index = drawn_index(500)
    gallery, queries = split_gallery(
        index, cell_m=10, heading_deg=heading_deg, query_fraction=fraction, seed=1
    )
    assert sorted([*gallery, *queries]) == list(range(500))
    members = defaultdict(lambda: [0, 0])
    for rows, side in ((gallery, 0), (queries, 1)):
        for i in rows.tolist():
            key = (index.utm_east[i] // 10, index.utm_north[i] // 10, index.heading_deg[i] // heading_deg)
            members[key][side] += 1
    for in_gallery, asked in members.values():
        assert asked == int(fraction * (in_gallery + asked) + 1e-9)


def test_the_seed_decides():
    index = drawn_index(300)
    first, again, other = (
        split_gallery(index, **CLASSES, query_fraction=0.5, seed=seed)[1].tolist() for seed in (0, 0, 1)
    )
    assert first == again != other


def test_classes_too_small_for_a_query_are_said():
    with pytest.raises(DataError, match="query_fraction 0.2"):
        split_gallery(drawn_index(4), cell_m=1, heading_deg=30, query_fraction=0.2, seed=0)
