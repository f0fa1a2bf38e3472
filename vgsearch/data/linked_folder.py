"""A new folder whose images are links to images that are there already; it appears whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from vgsearch.errors import DataError, StorageError


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Fill a folder under a temporary name beside `out`, and rename it when the body is done.

    Args:
        out: must not exist; parents are made.

    Yields:
        The temporary folder. If the body fails it goes, and `out` was never there.

    Raises:
        DataError: `out` exists.
        StorageError: it cannot be written.
    """
    refuse_existing(out)
    work = out.with_name(f".{out.name}.{secrets.token_hex(4)}.partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        for stale in out.parent.glob(f".{out.name}.*.partial"):  # of a killed run
            shutil.rmtree(stale, ignore_errors=True)
        work.mkdir()
        yield work
        refuse_existing(out)
        work.rename(out)
    except OSError as error:
        raise StorageError(
            f"{out} cannot be written: {error.strerror or error}; free some space or name another folder"
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def refuse_existing(out: Path) -> None:
    """Nothing that is there is written into or replaced.

    Raises:
        DataError: `out` exists, be it empty or a link that leads nowhere.
    """
    if os.path.lexists(out):
        raise DataError(f"{out} exists already: remove it, or name another folder")


def link(source: Path, target: Path, *, copy: bool) -> None:
    """Make `target` a symbolic link to a file or folder, or a copy of it.

    The link is relative, from where `target` really lies to where `source` really lies, so that both can be
    moved or mounted elsewhere together.

    Args:
        source: must exist.
        target: must not; it may lie in a `new_folder`, whose renaming moves no folder above it.
        copy: copy the bytes instead, for file systems without links.

    Raises:
        StorageError: the file system has no symbolic links.
        OSError: any other failure to write.
    """
    real = os.path.realpath(source)
    if copy:
        (shutil.copytree if os.path.isdir(real) else shutil.copy2)(real, target)
        return
    try:
        os.symlink(os.path.relpath(real, os.path.realpath(target.parent)), target)
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and not _means_no_links(error):
            raise
        reason = getattr(error, "strerror", None) or error
        raise StorageError(
            f"{target.parent}: no symbolic links can be made here ({reason}): --copy copies the images"
        ) from error


def link_images(sources: Sequence[Path], folder: Path, names: Sequence[str], *, copy: bool) -> None:
    """Link many files into a folder, under names that may hold subfolders of it; see `link`."""
    for parent in {os.path.dirname(name) for name in names}:
        (folder / parent).mkdir(parents=True, exist_ok=True)
    for source, name in zip(sources, names, strict=True):
        link(source, folder / name, copy=copy)


def _means_no_links(error: OSError) -> bool:
    refusals = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}
    return error.errno in refusals or getattr(error, "winerror", None) == 1314  # no privilege on Windows
