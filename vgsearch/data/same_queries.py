"""Whether two splits ask the same queries at the same places, so that their results pair up row by row."""

from __future__ import annotations

from collections.abc import Iterator
from os.path import splitext

import numpy as np

from vgsearch.data.index import ImageIndex
from vgsearch.data.retrieval_set import RetrievalSet
from vgsearch.errors import DataError


def require_same_queries(first: RetrievalSet, second: RetrievalSet) -> None:
    """Refuse two splits whose results cannot be compared query by query.

    What the photos look like may differ, and so may their size and format. Queries must have the same names
    (folders included, suffix left out) and positions, row by row. Databases must hold the same photos by name
    and position, in any order and however often, so that the same queries have positives. Positions are
    compared exactly: both are read from the same names, or from copies of one table.

    Raises:
        DataError: names the first query that differs, or the first database photo; or the distances of
            positives differ.
    """
    what = _of_distances(first, second) or _of_queries(first, second) or _of_databases(first, second)
    if what:
        raise DataError(
            f"{first.name} and {second.name} cannot be compared query by query: {what}; name two splits of "
            "the same photos, such as a translated one and what it was made of"
        )


def _of_distances(first: RetrievalSet, second: RetrievalSet) -> str:
    if first.positive_distance_m == second.positive_distance_m:
        return ""
    return (
        f"a positive is within {first.positive_distance_m:g} m in the one and within "
        f"{second.positive_distance_m:g} m in the other"
    )


def _of_queries(first: RetrievalSet, second: RetrievalSet) -> str:
    a, b = first.queries, second.queries
    stems_a, stems_b = _stems(a), _stems(b)
    both = min(len(a), len(b))
    name_differs = np.array([x != y for x, y in zip(stems_a, stems_b, strict=False)], dtype=np.bool_)
    place_differs = (a.utm_east[:both] != b.utm_east[:both]) | (a.utm_north[:both] != b.utm_north[:both])
    rows = np.flatnonzero(name_differs | place_differs)
    if rows.size:
        i = int(rows[0])
        if name_differs[i]:
            return (
                f"query {i + 1} of {len(a)} in the one is {a.paths[i]!r}, and query {i + 1} of {len(b)} "
                f"in the other {b.paths[i]!r}"
            )
        places = f"at {_place(a, i)} in the one and at {_place(b, i)} in the other"
        return f"query {i + 1}, {a.paths[i]!r}, is {places}"
    if len(a) == len(b):
        return ""
    longer, shorter = (first, second) if len(a) > len(b) else (second, first)
    return (
        f"query {both + 1} of {len(longer.queries)} in {longer.name}, {longer.queries.paths[both]!r}, is "
        f"missing in {shorter.name}, which has {both}"
    )


def _of_databases(first: RetrievalSet, second: RetrievalSet) -> str:
    a, b = first.database, second.database
    places_are_equal = np.array_equal(a.utm_east, b.utm_east) and np.array_equal(a.utm_north, b.utm_north)
    if places_are_equal and a.paths == b.paths:  # nearly always, and cheap where there are millions
        return ""
    return _lacking(first, second) or _lacking(second, first)


def _lacking(here: RetrievalSet, there: RetrievalSet) -> str:
    """The first photo of one database that the other has not, at this position."""
    photos = set(_named_places(there.database))
    row = next((i for i, each in enumerate(_named_places(here.database)) if each not in photos), None)
    if row is None:
        return ""
    path = here.database.paths[row]
    how = "has another position" if splitext(path)[0] in {stem for stem, _, _ in photos} else "is missing"
    return f"{path!r} of the database of {here.name} {how} in that of {there.name}"


def _named_places(index: ImageIndex) -> Iterator[tuple[str, float, float]]:
    return zip(_stems(index), index.utm_east.tolist(), index.utm_north.tolist(), strict=True)


def _stems(index: ImageIndex) -> list[str]:
    return [splitext(path)[0] for path in index.paths]


def _place(index: ImageIndex, i: int) -> str:
    return f"{index.utm_east[i]:.2f}, {index.utm_north[i]:.2f} m"
