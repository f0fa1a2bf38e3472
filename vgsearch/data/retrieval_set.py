"""A database of geotagged photos, the queries to be placed in it, and who counts as a positive."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from vgsearch.data.index import ImageIndex, index_folder, require_coordinates
from vgsearch.data.split_parts import find_parts
from vgsearch.errors import DataError


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
    """Load the database and the queries of a split.

    Args:
        folder: the split's folder, or `FOLDER#QUERIES`; see `find_parts`.
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
    parts = find_parts(folder)
    database = index_folder(parts.database, cache_dir=cache_dir)
    return database, index_folder(parts.queries, cache_dir=cache_dir, utm_zone=database.utm_zone)


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


def least_squared_distance(database: ImageIndex, queries: ImageIndex) -> NDArray[np.float64]:
    """Squared metres from each query to the nearest database image, float64 (q,), as `is_positive` adds up.

    Whether a query has a positive within a distance d, for any d, is whether this is at most d * d.
    """
    tree = cKDTree(_points(database))
    points = _points(queries)
    # The tree bounds its distances with roundings of its own, so all that may be nearest are judged in full.
    reach_m = tree.query(points)[0] * (1 + 1e-9)
    near = tree.query_ball_point(points, reach_m)
    counts = np.array([len(ids) for ids in near], dtype=np.int64)
    difference = np.repeat(points, counts, axis=0) - tree.data[np.concatenate(near).astype(np.int64)]
    squared = difference[:, 0] * difference[:, 0] + difference[:, 1] * difference[:, 1]
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    least: NDArray[np.float64] = np.minimum.reduceat(squared, starts)
    return least


def nearest_distance_m(database: ImageIndex, queries: ImageIndex) -> NDArray[np.float64]:
    """Distance from each query to the nearest database image, float64 (q,)."""
    distance_m: NDArray[np.float64] = cKDTree(_points(database)).query(_points(queries))[0]
    return distance_m


def _points(index: ImageIndex) -> NDArray[np.float64]:
    return np.column_stack([index.utm_east, index.utm_north])


def _within(east: NDArray[np.float64], north: NDArray[np.float64], distance_m: float) -> NDArray[np.bool_]:
    """Squares compared, border included: to the bit what sklearn's `radius_neighbors` does in its trees."""
    return east * east + north * north <= distance_m * distance_m
