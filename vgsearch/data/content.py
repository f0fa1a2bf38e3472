"""Images told apart by their bytes: which of one folder are in another, whatever they are called."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vgsearch.data.index import ImageIndex


def content_key(path: Path) -> bytes:
    """Hash of a file's bytes, 16 bytes long.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest()


def content_keys(index: ImageIndex, ids: Iterable[int]) -> Iterable[tuple[int, bytes]]:
    """Row and content key of some images; files that cannot be read are left out (decoding names them)."""
    for i in ids:
        try:
            yield i, content_key(index.absolute(i))
        except OSError:
            continue


def file_sizes(index: ImageIndex) -> NDArray[np.int64]:
    """File sizes in bytes, int64 (n,); -1 where not known: such a file is never compared."""
    return np.full(len(index), -1, np.int64) if index.size_bytes is None else index.size_bytes


def shared_images(one: ImageIndex, other: ImageIndex) -> dict[int, int]:
    """Images of `one` that have the same bytes as an image of `other`; only files of equal size are read.

    Returns:
        Rows of `one` in order, each with the row of a twin in `other`.
    """
    sizes, other_sizes = file_sizes(one), file_sizes(other)
    common = np.intersect1d(sizes[sizes > 0], other_sizes)
    by_content = {
        key: i for i, key in content_keys(other, np.flatnonzero(np.isin(other_sizes, common)).tolist())
    }
    found = content_keys(one, np.flatnonzero(np.isin(sizes, common)).tolist())
    return {i: by_content[key] for i, key in found if key in by_content}
