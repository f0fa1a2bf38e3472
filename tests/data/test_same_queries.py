"""Splits of the same queries are told from others, against one loop over sorted pairs."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgsearch.data.index import ImageIndex
from vgsearch.data.retrieval_set import RetrievalSet
from vgsearch.data.same_queries import require_same_queries
from vgsearch.errors import DataError

Photo = tuple[str, float, float]


def index_of(photos: list[Photo]) -> ImageIndex:
    paths, east, north = zip(*photos, strict=True)
    columns = [np.array(east), np.array(north), np.full(len(paths), np.nan)]
    return ImageIndex(Path("/x"), paths, *columns, fingerprint=repr(photos))


def set_of(name: str, database: list[Photo], queries: list[Photo], distance_m: float = 25) -> RetrievalSet:
    reachable = np.ones(len(queries), dtype=np.bool_)
    return RetrievalSet(name, index_of(database), index_of(queries), distance_m, reachable, "h")


photos = st.lists(
    st.tuples(
        st.sampled_from(["a.jpg", "a.png", "b.jpg", "b.c/a.jpg", "b.c/a.PNG", "b.c/d"]),
        st.sampled_from([0.0, 1.0]),
        st.just(5.0),
    ),
    min_size=1,
    max_size=3,
)


def plain(photo: Photo) -> Photo:
    path = PurePosixPath(photo[0])
    return str(path.with_suffix("")), photo[1], photo[2]


@given(photos, photos, photos, photos)
def test_only_the_same_queries_over_the_same_places_pass(
    database: list[Photo], queries: list[Photo], other_database: list[Photo], other_queries: list[Photo]
) -> None:
    same = [plain(each) for each in queries] == [plain(each) for each in other_queries]
    same = same and all(plain(each) in map(plain, other_database) for each in database)
    same = same and all(plain(each) in map(plain, database) for each in other_database)
    sets = set_of("one", database, queries), set_of("two", other_database, other_queries)
    if same:
        require_same_queries(*sets)
    else:
        with pytest.raises(DataError, match="one and two cannot be compared query by query"):
            require_same_queries(*sets)


DATABASE = [("d/1.jpg", 0.0, 0.0), ("d/2.jpg", 9.0, 0.0)]
QUERIES = [("1.jpg", 0.0, 0.5), ("2.jpg", 9.0, 0.5), ("3.jpg", 9.0, 0.5)]


@pytest.mark.parametrize(
    ("database", "queries", "distance_m", "words"),
    [
        (DATABASE, QUERIES[:2], 25, "query 3 of 3 in night, '3.jpg', is missing in day, which has 2"),
        (DATABASE, [*QUERIES, ("4.jpg", 1.0, 1.0)], 25, "query 4 of 4 in day, '4.jpg', is missing in night"),
        (DATABASE, [QUERIES[0], QUERIES[2]], 25, "query 2 of 3 in the one is '2.jpg', and query 2 of 2 in"),
        (
            DATABASE,
            [QUERIES[0], ("2.png", 9.0, 0.75), ("x.jpg", 0.0, 0.0)],
            25,
            "query 2, '2.jpg', is at 9.00",
        ),
        (DATABASE[:1], QUERIES, 25, "'d/2.jpg' of the database of night is missing in that of day"),
        (
            [*DATABASE, ("z.jpg", 0.0, 0.0)],
            QUERIES,
            25,
            "'z.jpg' of the database of day is missing in that of",
        ),
        ([DATABASE[0], ("d/2.png", 8.0, 0.0)], QUERIES, 25, "'d/2.jpg' of the database of night has another"),
        (DATABASE, QUERIES, 10, "a positive is within 25 m in the one and within 10 m in the other"),
    ],
)
def test_the_first_difference_is_named(
    database: list[Photo], queries: list[Photo], distance_m: float, words: str
) -> None:
    with pytest.raises(DataError) as caught:
        require_same_queries(set_of("night", DATABASE, QUERIES), set_of("day", database, queries, distance_m))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_database_with_every_photo_twice_is_the_same() -> None:
    twice = [*DATABASE, *[(path.replace("jpg", "png"), *place) for path, *place in reversed(DATABASE)]]
    require_same_queries(set_of("night", DATABASE, QUERIES), set_of("day", twice, QUERIES))
