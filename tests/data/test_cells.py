from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgsearch.config.trial import CellsConfig
from vgsearch.data.cells import all_groups, assign_groups
from vgsearch.data.index import ImageIndex
from vgsearch.errors import DataError

Key = tuple[int, int, int]


def make_index(rows: list[tuple[float, float, float]]) -> ImageIndex:
    east, north, heading = np.array(rows, np.float64).reshape(-1, 3).T
    return ImageIndex(
        Path("/photos"), tuple(f"{i:06}.jpg" for i in range(len(rows))), east, north, heading, "f"
    )


def brute_force(rows: list[tuple[float, float, float]], cells: CellsConfig) -> list[dict[Key, list[int]]]:
    """The paper's definitions, one image at a time: a list of groups, each class -> images."""
    metres, degrees = cells.cell_m, cells.heading_deg
    images: dict[Key, list[int]] = {}
    for i, (east, north, heading) in enumerate(rows):
        key = (int(east // metres) * metres, int(north // metres) * metres, int(heading // degrees) * degrees)
        images.setdefault(key, []).append(i)
    groups: dict[Key, dict[Key, list[int]]] = {}
    for key, members in images.items():  # dicts keep the order of first appearance
        if len(members) >= cells.min_images:
            group = (
                key[0] // metres % cells.groups_across,
                key[1] // metres % cells.groups_across,
                key[2] // degrees % cells.groups_heading,
            )
            groups.setdefault(group, {})[key] = members
    return list(groups.values())


coordinate = st.one_of(
    st.floats(-60, 60),
    st.integers(-60, 60).map(float),
    st.integers(-600, 600).map(lambda tenths: tenths / 10),
    st.floats(4_480_000, 4_480_050),
)
heading = st.one_of(st.floats(-90, 450), st.sampled_from([0.0, 30.0, 359.99, 360.0, -30.0, -0.0, 720.0]))
configs = st.builds(
    CellsConfig,
    cell_m=st.integers(1, 25),
    heading_deg=st.sampled_from([1, 7, 30, 45, 90, 360]),
    groups_across=st.integers(1, 6),
    groups_heading=st.integers(1, 4),
    groups_used=st.just(1),
    min_images=st.integers(1, 4),
)


@given(st.lists(st.tuples(coordinate, coordinate, heading), min_size=1, max_size=60), configs)
def test_classes_groups_and_their_order_equal_brute_force(
    rows: list[tuple[float, float, float]], cells: CellsConfig
) -> None:
    expected = brute_force(rows, cells)
    groups = all_groups(make_index(rows), cells)
    assert len(groups) == len(expected)
    for group, classes in zip(groups, expected, strict=True):
        assert [tuple(key) for key in group.class_keys.tolist()] == list(classes)
        assert [group.images_of(k).tolist() for k in range(group.num_classes)] == list(classes.values())
        assert group.offsets[0] == 0
        assert group.offsets[-1] == len(group.image_ids)


def test_a_dense_city_equals_brute_force() -> None:
    rng = np.random.default_rng(0)
    table = np.column_stack([rng.uniform(0, 200, (4000, 2)), rng.integers(0, 12, 4000) * 30])
    rows = [tuple(row) for row in table.tolist()]
    cells = CellsConfig(cell_m=20, min_images=2)
    expected = brute_force(rows, cells)
    assert len(expected) == 50
    for group, classes in zip(assign_groups(make_index(rows), cells), expected[:8], strict=True):
        assert [group.images_of(k).tolist() for k in range(group.num_classes)] == list(classes.values())


def test_groups_are_numbered_over_kept_classes_only() -> None:
    # The first image's class has too few images, so its group does not count as seen first.
    rows = [(0, 0, 0), (10, 0, 0), (10, 0, 0), (50, 0, 0), (50, 0, 0)]
    cells = CellsConfig(groups_used=1, min_images=2)
    groups = all_groups(make_index(rows), cells)
    assert [group.class_keys.tolist() for group in groups] == [[[10, 0, 0]], [[50, 0, 0]]]


def test_no_class_says_which_setting_to_relax() -> None:
    index = make_index([(0, 0, 0)] * 9 + [(99, 0, 0)])
    with pytest.raises(DataError) as caught:
        assign_groups(index, CellsConfig())
    assert "holds min_images=10 images (the fullest: 9): lower trial.cells.min_images" in str(caught.value)


def test_too_few_groups_say_which_setting_to_relax() -> None:
    index = make_index([(0, 0, 0), (10, 0, 0)])
    with pytest.raises(DataError) as caught:
        assign_groups(index, CellsConfig(min_images=1))
    assert "form 2 groups, fewer than groups_used=8" in str(caught.value)
    assert "lower trial.cells.groups_used to 2" in str(caught.value)
    assert len(assign_groups(index, CellsConfig(min_images=1, groups_used=2))) == 2


def test_a_missing_or_absurd_number_is_refused() -> None:
    with pytest.raises(DataError, match="1 of 2 images in /photos have no heading"):
        assign_groups(make_index([(0, 0, 0), (0, 0, np.nan)]), CellsConfig())
    with pytest.raises(DataError, match="have no UTM coordinates"):
        assign_groups(make_index([(0, np.nan, 0)]), CellsConfig())
    with pytest.raises(DataError, match=r"000000\.jpg: 1e\+17 is no coordinate"):
        assign_groups(make_index([(1e17, 0, 0)]), CellsConfig())
