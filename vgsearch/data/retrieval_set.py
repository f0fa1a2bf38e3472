"""A database of geotagged photos, the queries to be placed in it, and who counts as a positive."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from vgsearch.data.index import ImageIndex, index_folder, require_coordinates
from vgsearch.errors import DataError

DATABASE_FOLDER = "database"
QUERY_FOLDERS = ("queries", "queries_v1")


@dataclass(frozen=True, eq=False)
class RetrievalSet:
    """Queries (q) and database (n) of one split, with coordinates for all.

    Attributes:
        name: what tables call it.
        database: n images.
        queries: q images.
        positive_distance_m: a database image at most this far from a query is a positive, border included.
        has_positive: whether a query has any positive, bool (q,). Queries without one count as failures.
        query_set_hash: hex; the same wherever the same images lie. Recalls of other hashes don't compare.
    """

    name: str
    database: ImageIndex
    queries: ImageIndex
    positive_distance_m: float
    has_positive: NDArray[np.bool_]
    query_set_hash: str

    def is_positive(self, database_ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Judge retrieved images, and only those.

        Args:
            database_ids: rows of the database for each query, int64 (q, k); a negative one fills up a row
                that has fewer than k and is never a positive.

        Returns:
            bool (q, k).

        Raises:
            ValueError: `database_ids` has no row for every query.
        """
        ids = np.asarray(database_ids)
        if ids.ndim != 2 or len(ids) != len(self.queries):
            raise ValueError(f"database_ids must be ({len(self.queries)}, k), but got {ids.shape}")
        east = self.queries.utm_east[:, None] - self.database.utm_east[ids]
        north = self.queries.utm_north[:, None] - self.database.utm_north[ids]
        return _within(east, north, self.positive_distance_m) & (ids >= 0)


def load_retrieval_set(
    folder: Path, positive_distance_m: float, *, name: str | None = None, cache_dir: Path | None = None
) -> RetrievalSet:
    """Load `folder/database` and `folder/queries` (or `queries_v1`).

    Args:
        folder: the split's folder.
        positive_distance_m: see `RetrievalSet`.
        name: None takes the folder's own name.
        cache_dir: see `index_folder`.

    Raises:
        DataError: a part is missing or empty, an image has no coordinates, or no query has a positive.
    """
    folder = Path(folder)
    database, queries = index_parts(folder, cache_dir=cache_dir)
    for part in (database, queries):
        require_coordinates(part, heading=False)
    positive = queries_with_positive(database, queries, positive_distance_m)
    if not positive.any():
        nearest_m = nearest_distance_m(database, queries).min()
        raise DataError(
            f"no query of {folder} has a database image within {positive_distance_m:g} m (the nearest is "
            f"{nearest_m:,.1f} m away): check the coordinates, or raise data.positive_distance_m"
        )
    key = query_set_hash(database, queries)
    name = folder.absolute().name if name is None else name
    return RetrievalSet(name, database, queries, positive_distance_m, positive, key)


def query_set_hash(database: ImageIndex, queries: ImageIndex) -> str:
    """What tells the images of a set from others', see `RetrievalSet`."""
    return hashlib.blake2b(
        (database.content_hash + queries.content_hash).encode(), digest_size=16
    ).hexdigest()


def index_parts(folder: Path, *, cache_dir: Path | None = None) -> tuple[ImageIndex, ImageIndex]:
    """Database and queries of a split; coordinates given in degrees go into the database's zone.

    Raises:
        DataError: a part is missing or empty.
    """
    query_folder = find_query_folder(folder)
    if not (folder / DATABASE_FOLDER).is_dir() or query_folder is None:
        raise DataError(
            f"{folder} is no retrieval set: it must be a folder that holds {DATABASE_FOLDER}/ and "
            f"{' or '.join(f'{part}/' for part in QUERY_FOLDERS)}"
        )
    database = index_folder(folder / DATABASE_FOLDER, cache_dir=cache_dir)
    return database, index_folder(query_folder, cache_dir=cache_dir, utm_zone=database.utm_zone)


def find_query_folder(folder: Path) -> Path | None:
    """The first of `queries` and `queries_v1` that is there."""
    return next((folder / part for part in QUERY_FOLDERS if (folder / part).is_dir()), None)


def queries_with_positive(
    database: ImageIndex, queries: ImageIndex, positive_distance_m: float
) -> NDArray[np.bool_]:
    """Which queries have a database image within the distance, bool (q,), judged as `is_positive` judges."""
    tree = cKDTree(_points(database))
    points = _points(queries)
    nearest = tree.query(points)[1]
    difference = points - tree.data[nearest]
    positive = _within(difference[:, 0], difference[:, 1], positive_distance_m)
    # The tree bounds its distances with roundings of its own; a query at the very border is judged in full.
    reach_m = positive_distance_m * (1 + 1e-9)
    border = ~positive & _within(difference[:, 0], difference[:, 1], reach_m)
    for i in np.flatnonzero(border).tolist():
        close = points[i] - tree.data[tree.query_ball_point(points[i], reach_m)]
        positive[i] = _within(close[:, 0], close[:, 1], positive_distance_m).any()
    return positive


def nearest_distance_m(database: ImageIndex, queries: ImageIndex) -> NDArray[np.float64]:
    """Distance from each query to the nearest database image, float64 (q,)."""
    distance_m: NDArray[np.float64] = cKDTree(_points(database)).query(_points(queries))[0]
    return distance_m


def _points(index: ImageIndex) -> NDArray[np.float64]:
    return np.column_stack([index.utm_east, index.utm_north])


def _within(east: NDArray[np.float64], north: NDArray[np.float64], distance_m: float) -> NDArray[np.bool_]:
    """Squares compared, border included: to the bit what sklearn's `radius_neighbors` does in its trees."""
    return east * east + north * north <= distance_m * distance_m
