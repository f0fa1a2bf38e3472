"""A folder of photos in the style of others, under the same names: a folder of photos like any other."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from vgsearch.data.styled_index import StyledIndex
from vgsearch.translation.origin import write_record
from vgsearch.translation.photo_folder import photo_folder, require_new_folder, save_photo


def write_styled_folder(
    index: StyledIndex, out: Path, *, threads: int, progress: Callable[[int], None] = lambda done: None
) -> None:
    """Write every image of `index` below `out`; all of them, or nothing.

    Coordinates go along: those in names by the names, those of an `images.csv` by a copy of it. JPEG names
    become JPEGs (quality 95, full colour resolution), PNG names PNGs. `translation.yaml` says what was done.

    Args:
        index: the images in their styles.
        out: a folder that does not exist yet, apart from those that are read.
        threads: how many read and write.
        progress: called with the number of images just written.

    Raises:
        StorageError: `out` exists, lies inside a folder that is read, or cannot be written.
        ImageError: an image cannot be read.
    """
    require_new_folder(out, [index.root, index.styles.root], "styled")
    with photo_folder(index, out) as temporary:

        def write(i: int) -> None:
            save_photo(temporary / index.paths[i], index.read(i))
            progress(1)

        with ThreadPoolExecutor(threads, "vgsearch-style", initializer=_on_one_core) as pool:
            try:
                for done in [pool.submit(write, i) for i in range(len(index))]:
                    done.result()
            except BaseException:
                # Leaving the pool would first write all the photos that still wait.
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        write_record(
            temporary, index, {"method": "fda", "beta": index.beta, "styles": str(index.styles.root)}
        )


def _on_one_core() -> None:
    """Keep this thread's operations to itself: all cores have a photo of their own."""
    torch.get_num_threads()  # it sets the number on first use, so that has to come first
    threadpool_limits(limits=1, user_api="openmp")
