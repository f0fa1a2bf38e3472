from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from vgsearch.data.index import ImageIndex
from vgsearch.data.retrieval_set import (
    RetrievalSet,
    load_retrieval_set,
    nearest_distance_m,
    queries_with_positive,
)
from vgsearch.errors import DataError


def make_index(points: NDArray[np.float64]) -> ImageIndex:
    paths = tuple(f"{i:06}.jpg" for i in range(len(points)))
    return ImageIndex(Path("/x"), paths, points[:, 0], points[:, 1], np.full(len(points), np.nan), "f")


def make_set(database: NDArray[np.float64], queries: NDArray[np.float64], radius_m: float) -> RetrievalSet:
    parts = make_index(database), make_index(queries)
    return RetrievalSet("s", *parts, radius_m, queries_with_positive(*parts, radius_m), "h")


def sklearn_positives(
    database: NDArray[np.float64], queries: NDArray[np.float64], radius_m: float
) -> NDArray[np.bool_]:
    neighbours = NearestNeighbors(algorithm="kd_tree").fit(database)
    positives = np.zeros((len(queries), len(database)), bool)
    found = neighbours.radius_neighbors(queries, radius=radius_m, return_distance=False)
    for query, ids in enumerate(found):
        positives[query, ids] = True
    return positives


def lattice(seed: int, n: int, step_m: float) -> NDArray[np.float64]:
    """Points whose distances hit the border often: 3-4-5 triangles at UTM-sized, inexact coordinates."""
    cells = np.random.default_rng(seed).integers(0, 40, (n, 2))
    return np.array([445400.15, 4480000.35]) + cells * step_m


@pytest.mark.parametrize("radius_m", [25.0, 5.0, 7.5, 0.3])
@pytest.mark.parametrize("seed", range(8))
def test_positives_equal_sklearn_even_at_the_border(radius_m: float, seed: int) -> None:
    database, queries = lattice(seed, 300, radius_m / 5), lattice(seed + 100, 60, radius_m / 5)
    expected = sklearn_positives(database, queries, radius_m)
    split = make_set(database, queries, radius_m)
    everything = np.tile(np.arange(len(database)), (len(queries), 1))
    np.testing.assert_array_equal(split.is_positive(everything), expected)
    np.testing.assert_array_equal(split.has_positive, expected.any(axis=1))
    distances = np.hypot(*(queries[:, None] - database).transpose(2, 0, 1))
    assert (np.abs(distances - radius_m) < 1e-7).sum() > 50, (
        "the border must be hit for this test to mean much"
    )


@given(
    st.lists(st.tuples(st.floats(0, 99), st.floats(0, 99)), min_size=1, max_size=30),
    st.lists(st.tuples(st.floats(0, 99), st.floats(0, 99)), min_size=1, max_size=10),
    st.floats(0.5, 60),
)
def test_positives_equal_sklearn_anywhere(
    database: list[tuple[float, float]], queries: list[tuple[float, float]], radius_m: float
) -> None:
    split = make_set(np.array(database), np.array(queries), radius_m)
    expected = sklearn_positives(np.array(database), np.array(queries), radius_m)
    everything = np.tile(np.arange(len(database)), (len(queries), 1))
    np.testing.assert_array_equal(split.is_positive(everything), expected)
    np.testing.assert_array_equal(split.has_positive, expected.any(axis=1))


def test_a_query_at_the_very_border_has_a_positive() -> None:
    # The nearest by the tree alone would do here too; what counts is that the border is inside.
    split = make_set(np.array([[0.0, 0.0], [500.0, 0.0]]), np.array([[15.0, 20.0], [15.0, 20.1]]), 25)
    assert split.has_positive.tolist() == [True, False]


def test_only_the_given_ids_are_judged_and_padding_is_no_positive() -> None:
    split = make_set(np.array([[0.0, 0.0], [100.0, 0.0]]), np.array([[1.0, 0.0], [101.0, 0.0]]), 5)
    assert split.is_positive(np.array([[1, 0, -1], [1, -1, -1]])).tolist() == [
        [False, True, False],
        [True, False, False],
    ]
    assert split.is_positive(np.empty((2, 0), np.int64)).shape == (2, 0)
    with pytest.raises(ValueError, match=r"must be \(2, k\)"):
        split.is_positive(np.zeros((3, 1), np.int64))


def test_nearest_distances() -> None:
    parts = make_index(np.array([[0.0, 0.0], [10.0, 0.0]])), make_index(np.array([[3.0, 4.0], [11.0, 0.0]]))
    assert nearest_distance_m(*parts).tolist() == [5, 1]


def write_split(root: Path, *, queries: str = "queries", query_east: float = 3.0) -> Path:
    for part, east in (("database", 0.0), ("database", 100.0), (queries, query_east), (queries, 50.0)):
        (root / part).mkdir(parents=True, exist_ok=True)
        (root / part / f"@{east:010.2f}@0000005.00@30@T@.jpg").write_bytes(b"x")
    return root


def load(root: Path, radius_m: float = 25) -> RetrievalSet:
    return load_retrieval_set(root, radius_m, cache_dir=root.parent / "cache")


def test_a_folder_is_loaded(tmp_path: Path) -> None:
    split = load(write_split(tmp_path / "val"))
    assert (split.name, len(split.database), len(split.queries)) == ("val", 2, 2)
    assert split.has_positive.tolist() == [True, False]
    assert load_retrieval_set(tmp_path / "val", 25, name="day", cache_dir=tmp_path / "cache").name == "day"


def test_queries_v1_is_the_second_choice(tmp_path: Path) -> None:
    write_split(tmp_path / "val", queries="queries_v1")
    assert load(tmp_path / "val").queries.root.name == "queries_v1"
    write_split(tmp_path / "val", queries="queries")
    assert load(tmp_path / "val").queries.root.name == "queries"


def test_the_hash_is_of_the_images_not_of_the_place(tmp_path: Path) -> None:
    first = load(write_split(tmp_path / "val")).query_set_hash
    shutil.copytree(tmp_path / "val", tmp_path / "elsewhere" / "other")
    assert load(tmp_path / "elsewhere" / "other").query_set_hash == first
    assert load(tmp_path / "val", radius_m=60).query_set_hash == first
    next((tmp_path / "val" / "database").iterdir()).write_bytes(b"another picture")
    assert load(tmp_path / "val").query_set_hash != first


def test_degrees_of_both_parts_share_one_zone(tmp_path: Path) -> None:
    for part, longitude in (("database", -0.0001), ("queries", 0.0001)):  # zones 30 and 31
        (tmp_path / "val" / part).mkdir(parents=True)
        (tmp_path / "val" / part / "a.jpg").touch()
        (tmp_path / "val" / part / "images.csv").write_text(f"path,lat,lon\na.jpg,40,{longitude}\n")
    split = load(tmp_path / "val")
    assert nearest_distance_m(split.database, split.queries)[0] == pytest.approx(17.1, abs=0.1)


def test_missing_parts_coordinates_and_positives_are_named(tmp_path: Path) -> None:
    (tmp_path / "val" / "database").mkdir(parents=True)
    with pytest.raises(DataError, match=r"val is no retrieval set: it must be a folder that holds database/"):
        load(tmp_path / "val")
    (tmp_path / "val" / "queries").mkdir()
    with pytest.raises(DataError, match=r"database holds no \.jpg"):
        load(tmp_path / "val")
    write_split(tmp_path / "val", query_east=40.0)
    with pytest.raises(
        DataError, match=r"within 25 m \(the nearest is 40\.0 m away\): check the coordinates"
    ):
        load(tmp_path / "val")
    (tmp_path / "val" / "queries" / "plain.jpg").touch()
    with pytest.raises(
        DataError, match=r"1 of 3 images in .*queries have no UTM coordinates, first 'plain\.jpg'"
    ):
        load(tmp_path / "val")
