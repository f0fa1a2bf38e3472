"""A folder of photos in the style of others, under the same names: a folder of photos like any other."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from PIL import Image
from threadpoolctl import threadpool_limits

from vgsearch.data.csv_layout import CSV_NAME
from vgsearch.data.styled_index import StyledIndex
from vgsearch.errors import StorageError
from vgsearch.models.atomic_folder import atomic_folder

JPEG_QUALITY = 95


def write_styled_folder(
    index: StyledIndex, out: Path, *, threads: int, progress: Callable[[int], None] = lambda done: None
) -> None:
    """Write every image of `index` below `out`; all of them, or nothing.

    Coordinates go along: those in names by the names, those of an `images.csv` by a copy of it. JPEG names
    become JPEGs (quality 95, full colour resolution), PNG names PNGs.

    Args:
        index: the images in their styles.
        out: a folder that does not exist yet, apart from those that are read.
        threads: how many read and write.
        progress: called with the number of images just written.

    Raises:
        StorageError: `out` exists, lies inside a folder that is read, or cannot be written.
        ImageError: an image cannot be read.
    """
    if out.exists():
        raise StorageError(f"{out}: the folder for the styled photos must be new; name another or delete it")
    for folder in (index.root, index.styles.root):
        if out.resolve().is_relative_to(folder.resolve()):
            raise StorageError(
                f"{out}: styled photos must not lie among those of {folder}; name a folder outside it"
            )
    with atomic_folder(out) as temporary:

        def write(i: int) -> None:
            path = temporary / index.paths[i]
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(index.read(i).permute(1, 2, 0).numpy()).save(
                path, quality=JPEG_QUALITY, subsampling=0
            )
            progress(1)

        with ThreadPoolExecutor(threads, "vgsearch-style", initializer=_on_one_core) as pool:
            for done in [pool.submit(write, i) for i in range(len(index))]:
                done.result()
        if (index.root / CSV_NAME).is_file():
            shutil.copyfile(index.root / CSV_NAME, temporary / CSV_NAME)


def _on_one_core() -> None:
    """Keep this thread's operations to itself: all cores have a photo of their own."""
    torch.get_num_threads()  # it sets the number on first use, so that has to come first
    threadpool_limits(limits=1, user_api="openmp")
