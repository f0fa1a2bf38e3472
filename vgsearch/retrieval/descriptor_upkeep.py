"""Looking at the store's entries, and deleting them."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from filelock import Timeout

from vgsearch.errors import StorageError
from vgsearch.models.atomic_folder import sibling
from vgsearch.retrieval.descriptor_entry import DamagedEntryError, EntryRecord, read_record
from vgsearch.retrieval.descriptor_store import entry_lock

_NAME = re.compile(r"[0-9a-f]{32}")
_LEFTOVER = re.compile(r"\.([0-9a-f]{32})\.[0-9a-f]+\.tmp")


@dataclass(frozen=True)
class StoredEntry:
    """An entry as it lies on disk.

    Attributes:
        name: its folder, 32 hexadecimal digits.
        size_bytes: of all its files.
        record: None where it cannot be read.
    """

    name: str
    size_bytes: int
    record: EntryRecord | None


def list_entries(root: Path) -> list[StoredEntry]:
    """All entries, the newest last, those that cannot be read first. No data is read or checked."""
    entries = []
    for folder in _folders(root):
        if not _NAME.fullmatch(folder.name):
            continue
        try:
            record = read_record(folder)
        except FileNotFoundError:  # deleted while we looked
            continue
        except DamagedEntryError:
            record = None
        entries.append(StoredEntry(folder.name, _size_bytes(folder), record))
    return sorted(entries, key=lambda entry: (entry.record.made_at if entry.record else "", entry.name))


def remove_entry(root: Path, name: str) -> bool:
    """Delete an entry; who has it mapped keeps the map.

    Returns:
        False if it is being made just now, and therefore stays.

    Raises:
        StorageError: it cannot be deleted.
    """
    return _remove(root, name, root / name)


def find_leftovers(root: Path) -> list[Path]:
    """What killed writers left, and what living ones are writing: only their locks tell them apart."""
    return [folder for folder in _folders(root) if _LEFTOVER.fullmatch(folder.name)]


def remove_leftovers(root: Path) -> int:
    """Delete what killed writers left; the bytes that this set free.

    Raises:
        StorageError: something cannot be deleted.
    """
    freed_bytes = 0
    for folder in find_leftovers(root):
        match = _LEFTOVER.fullmatch(folder.name)
        size_bytes = _size_bytes(folder)
        if match and _remove(root, match[1], folder):
            freed_bytes += size_bytes
    return freed_bytes


def leftover_bytes(root: Path) -> int:
    """Size of what `find_leftovers` lists."""
    return sum(_size_bytes(folder) for folder in find_leftovers(root))


def _remove(root: Path, name: str, folder: Path) -> bool:
    try:
        with entry_lock(root, name).acquire(timeout=0):
            # Out of sight at once: a reader finds all of it or nothing.
            hidden = folder if folder.name.startswith(".") else folder.rename(sibling(folder))
            shutil.rmtree(hidden)
    except Timeout:
        return False
    except FileNotFoundError:
        return True
    except OSError as error:
        raise StorageError(
            f"cannot delete {folder}: {error.strerror or error}; mend the permissions, or delete it by hand"
        ) from error
    return True


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []


def _size_bytes(folder: Path) -> int:
    total = 0
    for path in folder.glob("*"):
        try:
            total += path.stat().st_size
        except OSError:  # deleted while we looked
            continue
    return total
