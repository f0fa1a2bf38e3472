"""The images of a folder with their coordinates: a table that everything downstream reads."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vgsearch.data.csv_layout import CSV_NAME, UtmZone, read_csv_layout
from vgsearch.data.index_cache import default_cache_dir, load_table, save_table
from vgsearch.data.listing import Listing, digest, list_images
from vgsearch.data.names import NAME_LAYOUT, parse_names
from vgsearch.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class ImageIndex:
    """n images below one folder, sorted by path string. NaN stands for a number that is not known.

    Attributes:
        root: the folder, absolute.
        paths: relative to `root`, `/` between folders, length n.
        utm_east: metres, float64 (n,).
        utm_north: metres, float64 (n,).
        heading_deg: degrees as the source gives them, float64 (n,).
        fingerprint: hex; changes with any path, size, time of change or coordinate. The key for caches.
        size_bytes: int64 (n,), -1 for a link that leads nowhere; None if not known.
        utm_zone: set if the coordinates were converted from latitude and longitude.
    """

    root: Path
    paths: tuple[str, ...]
    utm_east: NDArray[np.float64]
    utm_north: NDArray[np.float64]
    heading_deg: NDArray[np.float64]
    fingerprint: str
    size_bytes: NDArray[np.int64] | None = None
    utm_zone: UtmZone | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def absolute(self, i: int) -> Path:
        """Full path of image `i`."""
        return self.root / self.paths[i]

    def read(self, i: int) -> Tensor:
        """Decode image `i`, uint8 (3, h, w); see `read_image` for what it raises."""
        # Here, because whoever asks for an index alone should not load PyTorch.
        from vgsearch.data.decode import read_image

        return read_image(self.absolute(i))

    @property
    def title(self) -> str:
        """What lists call these images."""
        return str(self.root)

    @cached_property
    def content_hash(self) -> str:
        """Hex hash of paths, sizes and coordinates: the same for a copy of the folder on another machine."""
        columns = [self.utm_east, self.utm_north, self.heading_deg]
        return digest(self.paths, *columns, *([] if self.size_bytes is None else [self.size_bytes]))

    def subset(self, ids: NDArray[np.int64] | Sequence[int]) -> ImageIndex:
        """The images `ids` (int64 (m,)) in that order, under a fingerprint of their own."""
        ids = np.asarray(ids, np.int64)
        key = hashlib.blake2b(self.fingerprint.encode() + ids.tobytes(), digest_size=16).hexdigest()
        return ImageIndex(
            root=self.root,
            paths=tuple(self.paths[i] for i in ids.tolist()),
            utm_east=self.utm_east[ids],
            utm_north=self.utm_north[ids],
            heading_deg=self.heading_deg[ids],
            fingerprint=key,
            size_bytes=None if self.size_bytes is None else self.size_bytes[ids],
            utm_zone=self.utm_zone,
        )


def index_folder(
    folder: Path, *, cache_dir: Path | None = None, utm_zone: UtmZone | None = None
) -> ImageIndex:
    """Index every image below `folder`; coordinates come from `images.csv` if it is there, else from names.

    Args:
        folder: any folder of .jpg, .jpeg and .png images.
        cache_dir: where parsed tables are kept; None for the platform's cache folder.
        utm_zone: the zone that latitudes and longitudes of a CSV go into; None for that of its first row.

    Returns:
        The index. Names without coordinates are no error here: see `require_coordinates`.

    Raises:
        DataError: the folder is missing or holds no image, or its CSV is not in order.
    """
    root = Path(folder).absolute()
    if (root / CSV_NAME).is_file():
        layout = read_csv_layout(root, utm_zone)
        key = digest([layout.listing.fingerprint()], layout.table)
        return index_listing(root, layout.listing, layout.table, key, layout.zone)
    listing = list_images(root)
    cache_dir = default_cache_dir() if cache_dir is None else cache_dir
    key = listing.fingerprint()
    table = load_table(cache_dir, root, key, len(listing.paths))
    if table is None:
        names = parse_names(listing.paths)
        table = np.stack([names.utm_east, names.utm_north, names.heading_deg])
        save_table(cache_dir, root, key, table)
    return index_listing(root, listing, table, key)


def index_listing(
    root: Path,
    listing: Listing,
    table: NDArray[np.float64],
    fingerprint: str,
    utm_zone: UtmZone | None = None,
) -> ImageIndex:
    """Join a listing with its table of east, north and heading, float64 (3, n)."""
    east, north, heading = np.ascontiguousarray(table)
    return ImageIndex(root, listing.paths, east, north, heading, fingerprint, listing.size_bytes, utm_zone)


def join_indexes(indexes: Sequence[ImageIndex]) -> ImageIndex:
    """The images of several folders, one after the other, under absolute paths; a single index stays itself.

    Args:
        indexes: at least one.
    """
    if len(indexes) == 1:
        return indexes[0]

    def column(name: str) -> NDArray[np.float64]:
        return np.concatenate([getattr(index, name) for index in indexes])

    return ImageIndex(
        root=Path(indexes[0].root.anchor),
        paths=tuple(str(index.absolute(i)) for index in indexes for i in range(len(index))),
        utm_east=column("utm_east"),
        utm_north=column("utm_north"),
        heading_deg=column("heading_deg"),
        fingerprint="+".join(index.fingerprint for index in indexes),
    )


def require_coordinates(index: ImageIndex, *, heading: bool) -> None:
    """Refuse an index in which an image has no UTM coordinates, or no heading where that is asked for.

    Raises:
        DataError: names the first such file and how many there are.
    """
    missing = np.isnan(index.utm_east) | np.isnan(index.utm_north)
    _refuse(index, missing, "UTM coordinates", "utm_east, utm_north or lat, lon")
    if heading:
        instead = ", or set trial.cells.heading_deg to 360, which needs no heading"
        _refuse(index, np.isnan(index.heading_deg), "heading", "heading", instead)


def _refuse(
    index: ImageIndex, missing: NDArray[np.bool_], what: str, columns: str, instead: str = ""
) -> None:
    if missing.any():
        first = index.paths[int(np.argmax(missing))]
        raise DataError(
            f"{int(missing.sum())} of {len(index)} images in {index.root} have no {what}, first {first!r}: "
            f"name them {NAME_LAYOUT} or list path, {columns} in {index.root / CSV_NAME}{instead}"
        )
