"""Every image below a folder, found with one walk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vgsearch.errors import DataError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True, eq=False)
class Listing:
    """Images below a folder, in the order of their path strings.

    Attributes:
        paths: relative, `/` between folders, length n.
        size_bytes: int64 (n,); -1 for a link that leads nowhere.
        mtime_ns: int64 (n,); 0 for such a link.
    """

    paths: tuple[str, ...]
    size_bytes: NDArray[np.int64]
    mtime_ns: NDArray[np.int64]

    def fingerprint(self) -> str:
        """Hash of names, sizes and times: another value when an image is added, lost or overwritten."""
        return digest(self.paths, self.size_bytes, self.mtime_ns)


def digest(paths: Sequence[str], *columns: NDArray[np.generic]) -> str:
    """Hex digest (32 characters) of paths and the columns that belong to them."""
    hasher = hashlib.blake2b("\0".join(paths).encode("utf-8", "surrogatepass"), digest_size=16)
    for column in columns:
        hasher.update(np.ascontiguousarray(column).tobytes())
    return hasher.hexdigest()


def list_images(folder: Path) -> Listing:
    """Walk `folder` and its subfolders for .jpg, .jpeg and .png files, in any case of letters.

    The order is that of `sorted(glob(folder + "/**/*.jpg", recursive=True))`, and as there, names that begin
    with a point are left out. Linked images and linked folders are followed, except a link to a folder that
    is being walked already, which would never end.

    Raises:
        DataError: `folder` is missing or no folder, a folder cannot be listed, or there is no image.
    """
    if not folder.exists():
        raise DataError(f"folder {folder} does not exist: check the path and the data root")
    if not folder.is_dir():
        raise DataError(f"{folder} is a file, but a folder of images is needed")
    found: list[tuple[str, int, int]] = []
    pending: list[tuple[str, frozenset[tuple[int, int]]]] = [("", frozenset())]
    while pending:
        prefix, ancestors = pending.pop()
        place = os.path.join(folder, prefix)
        try:
            status = os.stat(place)
            identity = (status.st_dev, status.st_ino)
            if identity in ancestors:
                continue
            with os.scandir(place) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir():
                        pending.append((f"{prefix}{entry.name}/", ancestors | {identity}))
                    elif entry.name.lower().endswith(IMAGE_SUFFIXES):
                        found.append((prefix + entry.name, *_size_and_mtime(entry)))
        except OSError as error:
            raise DataError(f"folder {place} cannot be listed: {error.strerror or error}") from error
    if not found:
        raise DataError(f"{folder} holds no .jpg, .jpeg or .png image, not even in its subfolders")
    found.sort(key=itemgetter(0))
    paths, sizes, mtimes = zip(*found, strict=True)
    return Listing(paths, np.array(sizes, np.int64), np.array(mtimes, np.int64))


def _size_and_mtime(entry: os.DirEntry[str]) -> tuple[int, int]:
    try:
        status = entry.stat()
    except FileNotFoundError:  # a link that leads nowhere: decoding will name it
        return -1, 0
    return status.st_size, status.st_mtime_ns
