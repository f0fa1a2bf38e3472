"""The built-in demo: three ray-cast cities written as an SF-XS tree, so that nothing downstream knows."""

from __future__ import annotations

import os
import shutil
import socket
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from vgsearch.config.search import DemoCityConfig
from vgsearch.data.demo_marker import is_complete, write_marker
from vgsearch.data.demo_photos import write_photos
from vgsearch.data.demo_plan import SHARED_FOLDERS, plan_photos
from vgsearch.data.demo_worker import write_photos_in_processes
from vgsearch.errors import StorageError


def build_demo_city(
    out: Path,
    config: DemoCityConfig,
    *,
    progress: Callable[[int, int], None] | None = None,
    workers: int | None = None,
) -> None:
    """Write the demo into `out`, unless it is there already.

    `out` gets `train`, `target_night`, and `database` and `queries` in each of `val_day`, `val_night`,
    `test_day` and `test_night`. The bytes depend on `config` alone, not on `workers`. Everything is written
    beside `out` and renamed when complete, so a build that ends early leaves `out` as it was.

    Args:
        out: the folder; it may be missing or empty. `config.folder` is not looked at.
        config: size, image side and seed.
        progress: called with photos done and photos in all, in the caller's thread.
        workers: processes that render; None takes one for each core of this process, 1 stays in it.

    Raises:
        DataError: `out` holds something else, or the demo of another config.
        StorageError: `out` cannot be written or its disk is full; nothing half-written stays behind.
    """
    try:
        if is_complete(out, config):
            return
        out.parent.mkdir(parents=True, exist_ok=True)
        with _work_folder(out) as work:
            _fill(work, config, progress, workers or _available_cores())
            _move_into_place(work, out, config)
    except OSError as error:
        raise StorageError(
            f"the demo city cannot be written to {out}: {error.strerror or error}; "
            "free some space there or name another folder"
        ) from error


def _fill(
    work: Path, config: DemoCityConfig, progress: Callable[[int, int], None] | None, workers: int
) -> None:
    """Write the photos, the folders that repeat others, and last the marker."""
    counts = Counter(photo.path.rpartition("/")[0] for photo in plan_photos(config))
    total = counts.total()
    for folder in (*counts, *SHARED_FOLDERS):
        (work / folder).mkdir(parents=True)
    one_by_one = (
        write_photos(work, config) if workers == 1 else write_photos_in_processes(work, config, workers)
    )
    with closing(one_by_one):
        for done, _ in enumerate(one_by_one, start=1):
            if progress is not None:
                progress(done, total)
    for folder, original in SHARED_FOLDERS.items():
        for path in (work / original).iterdir():
            _link_or_copy(path, work / folder / path.name)
        counts[folder] = counts[original]
    write_marker(work, config, counts)


def _link_or_copy(source: Path, target: Path) -> None:
    """Hard link, or copy on file systems that have no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _move_into_place(work: Path, out: Path, config: DemoCityConfig) -> None:
    """Give the finished folder its name; what may stand there is empty, or an incomplete demo alike."""
    if is_complete(out, config):  # another process was faster
        return
    if not out.exists() or not any(out.iterdir()):
        os.replace(work, out)
        return
    with _work_folder(out) as incomplete:
        os.replace(out, incomplete)
        os.replace(work, out)


@contextmanager
def _work_folder(out: Path) -> Iterator[Path]:
    """A fresh sibling of `out`, gone afterwards unless renamed; leftovers of dead runs go first."""
    prefix = f".{out.name}.partial-{socket.gethostname()}-"
    for stray in out.parent.iterdir():
        if stray.name.startswith(prefix) and not _is_running(
            stray.name.removeprefix(prefix).partition("-")[0]
        ):
            shutil.rmtree(stray, ignore_errors=True)
    work = out.parent / f"{prefix}{os.getpid()}-{uuid.uuid4().hex[:8]}"
    work.mkdir()
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _is_running(process_id: str) -> bool:
    """Whether a process of this machine may still own what carries its number."""
    try:
        os.kill(int(process_id), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, ValueError, OverflowError):
        return True
    return True


def _available_cores() -> int:
    """Cores that this process may use: fewer than the machine has in a container or under `taskset`."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
