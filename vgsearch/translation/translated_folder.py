"""A folder of photos, or one part of a split, translated: a folder or a split like any other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from vgsearch.data.index import ImageIndex
from vgsearch.data.linked_folder import link
from vgsearch.data.split_parts import SplitParts
from vgsearch.models.atomic_folder import atomic_folder
from vgsearch.translation.method import TranslationMethod
from vgsearch.translation.origin import write_record
from vgsearch.translation.photo_batches import PhotoBatch, photo_batches
from vgsearch.translation.photo_folder import JPEG_QUALITY, photo_folder, require_new_folder, save_photo
from vgsearch.translation.photo_size import resized

SplitPart = Literal["queries", "database"]


def write_translated_folder(
    index: ImageIndex,
    out: Path,
    method: TranslationMethod,
    *,
    batch_size: int,
    threads: int,
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Write every photo of `index` translated below `out`, at its own size; all of them, or nothing.

    Names and an `images.csv` go along, so coordinates stay. `translation.yaml` beside the photos says what
    was done. JPEG names become JPEGs (quality 95, full colour resolution), PNG names PNGs.

    Args:
        index: the photos.
        out: a folder that does not exist yet, outside the folder of the photos.
        method: how they are translated.
        batch_size: photos at once, >= 1.
        threads: how many read, and how many write.
        progress: called with the number of photos just written.

    Raises:
        StorageError: `out` exists, lies inside the photos' folder, or cannot be written.
        ImageError: a photo cannot be read.
        DataError: a photo is too small.
    """
    require_new_folder(out, [index.root], "translated")
    with photo_folder(index, out) as temporary:
        with photo_batches(index, method.size, batch_size=batch_size, threads=threads) as batches:
            _Writer(index, temporary, threads, progress).write_all(batches, method.translate)
        sizes = {"shorter_side_px": method.size.load_px or "own", "jpeg_quality": JPEG_QUALITY}
        write_record(temporary, index, {**method.provenance, **sizes})


def write_translated_split(
    parts: SplitParts,
    part: SplitPart,
    index: ImageIndex,
    out: Path,
    method: TranslationMethod,
    **options: Any,
) -> None:
    """Write a split below `out` whose `queries` or `database` is translated and whose other part is a link.

    Args:
        parts: both folders of the split as it is.
        part: which one is translated.
        index: of that one's photos.
        out: a folder that does not exist yet, outside both.
        method: how they are translated.
        **options: as of `write_translated_folder`, which see for what is raised too.
    """
    require_new_folder(out, [parts.queries, parts.database], "translated")
    with atomic_folder(out) as temporary:
        write_translated_folder(index, temporary / part, method, **options)
        other: SplitPart = "database" if part == "queries" else "queries"
        link(getattr(parts, other), temporary / other, copy=False)


class _Writer:
    """Brings photos back to their own size and writes them, in threads, a few batches behind."""

    def __init__(
        self, index: ImageIndex, folder: Path, threads: int, progress: Callable[[int], None]
    ) -> None:
        self._index = index
        self._folder = folder
        self._threads = threads
        self._progress = progress

    def write_all(self, batches: Iterable[PhotoBatch], translate: Callable[[Tensor], Tensor]) -> None:
        waiting: deque[Future[None]] = deque()
        with ThreadPoolExecutor(self._threads, "vgsearch-write") as pool:
            for batch in batches:
                photos = translate(batch.photos)
                waiting += [pool.submit(self._write, batch, photos[i], i) for i in range(len(batch.ids))]
                # No more photos wait for the disk than a few for each thread.
                self._finish(waiting, left=4 * self._threads)
            self._finish(waiting, left=0)

    def _write(self, batch: PhotoBatch, photo: Tensor, position: int) -> None:
        height_px, width_px = batch.sizes_px[position].tolist()
        path = self._folder / self._index.paths[int(batch.ids[position])]
        save_photo(path, resized(photo, height_px, width_px))

    def _finish(self, waiting: deque[Future[None]], left: int) -> None:
        while len(waiting) > left:
            waiting.popleft().result()
            self._progress(1)
