"""A folder of changed photos under the names and coordinates of the originals; whole, or not there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from torch import Tensor

from vgsearch.data.csv_layout import CSV_NAME
from vgsearch.data.index import ImageIndex
from vgsearch.errors import StorageError
from vgsearch.models.atomic_folder import atomic_folder

JPEG_QUALITY = 95


def require_new_folder(out: Path, folders: Sequence[Path], what: str) -> None:
    """Refuse an output folder that is there, or that lies among photos that are read.

    Args:
        out: the folder to be.
        folders: those that are read.
        what: what the photos are called, such as "styled".

    Raises:
        StorageError: it is so.
    """
    if out.exists():
        raise StorageError(f"{out}: the folder for the {what} photos must be new; name another or delete it")
    for folder in folders:
        if out.resolve().is_relative_to(folder.resolve()):
            raise StorageError(
                f"{out}: {what} photos must not lie among those of {folder}; name a folder outside it"
            )


@contextmanager
def photo_folder(index: ImageIndex, out: Path) -> Iterator[Path]:
    """Fill a folder with changed photos of `index`; the body writes each under its path of the index.

    Coordinates go along: those in names by the names, those of an `images.csv` by a copy of it.

    Yields:
        The temporary folder, see `atomic_folder` for what it raises.
    """
    with atomic_folder(out) as temporary:
        yield temporary
        if (index.root / CSV_NAME).is_file():
            shutil.copyfile(index.root / CSV_NAME, temporary / CSV_NAME)


def save_photo(path: Path, photo: Tensor) -> None:
    """Write one photo, uint8 (3, h, w): a JPEG name as JPEG of quality 95 in full colour resolution."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = photo.permute(1, 2, 0).contiguous().numpy()
    Image.fromarray(pixels).save(path, quality=JPEG_QUALITY, subsampling=0)
