"""What lies under a home and nothing refers to: found by reading alone, deleted on demand.

Nothing of a search whose driver is alive is listed, and what cannot be judged is kept: a folder that is not
ours, a trial of a study that cannot be read, a training run while MLflow does not answer.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from filelock import FileLock, Timeout

from vgsearch.errors import RegistryError, StorageError
from vgsearch.registry.mlflow_spool import SPOOL_FOLDER
from vgsearch.registry.mlflow_versions import DOWNLOADS_FOLDER
from vgsearch.registry.spool_journal import Journal
from vgsearch.registry.store_uri import STORE_FILE
from vgsearch.search.study import UID, journal_path, read_trials

# Where no lock says that a writer is dead, its leftovers must have been left alone for so long.
MIN_AGE_S = 3600.0

_TRIAL = re.compile(r"(?P<search>.+)-[0-9a-f]{4}-\d{4,}")
_TRAINING = re.compile(r"(?P<search>.+_train)-[0-9a-f]{8}")
_RAY_RUN = re.compile(r"(?P<search>.+)-\d{8}-\d{6}(-\d{3})?")
# Of atomic_folder, write_scores and other writers that rename when they are done, and of the trainer's shelf.
_LEFTOVER = re.compile(r"\..+\.(tmp|partial)|\.deleting-.+")


@dataclass(frozen=True)
class Garbage:
    """A file or folder that nothing refers to.

    Attributes:
        path: Absolute.
        size_bytes: Of all its files.
        reason: Why nothing needs it.
        lock: Held while it is deleted; where another process holds it by then, the path stays.
    """

    path: Path
    size_bytes: int
    reason: str
    lock: Path | None = None


def find_unreferenced(
    home: Path,
    *,
    training_runs: Mapping[str, Collection[str]] | None = None,
    downloads: Collection[Path] | None = None,
) -> list[Garbage]:
    """List what nothing refers to under `home`, in order of paths.

    Args:
        home: The folder that searches write to.
        training_runs: Uids of the trials in the MLflow store by the name of their search, for those of
            `vgsearch train`, which no study knows; a search that is missing there keeps its folders. None
            keeps all.
        downloads: Folders of downloaded versions that are in the store; None keeps all.
    """
    home = home.absolute()
    # Trial folders first: a search that starts meanwhile adds its trial to the study before its folder.
    trials = list(_entries(home / "trials"))
    facts = _Facts(home, training_runs)
    found = [
        *(garbage for path in trials for garbage in _of_trials(path, facts)),
        *_of_ray(facts),
        *_of_downloads(home / DOWNLOADS_FOLDER, downloads),
        *_of_spool(facts),
        *_of_store(home),
    ]
    return sorted(found, key=lambda garbage: garbage.path)


def running_searches(home: Path) -> list[str]:
    """Names of the searches whose drivers are alive."""
    locks = (path for path in _entries(home / "studies") if path.suffix == ".lock")
    return [path.stem for path in locks if _is_held(path)]


def has_training_runs(home: Path) -> bool:
    """Whether there are folders of `vgsearch train`, which only the MLflow store can tell about."""
    return any(_TRAINING.fullmatch(path.name) for path in _entries(home / "trials"))


def delete(
    garbage: Sequence[Garbage], *, tell: Callable[[Garbage], None] = lambda deleted: None
) -> list[Garbage]:
    """Delete what `find_unreferenced` lists, but for that whose lock is held by now.

    Args:
        garbage: What to delete.
        tell: Told of each item when it is gone.

    Returns:
        What was deleted.

    Raises:
        StorageError: Something cannot be deleted; what came before it is gone.
    """
    deleted = []
    for item in garbage:
        try:
            with nullcontext() if item.lock is None else FileLock(item.lock, timeout=0):
                if item.path.is_dir():
                    shutil.rmtree(item.path)
                else:
                    item.path.unlink(missing_ok=True)
        except Timeout:
            continue
        except OSError as error:
            raise StorageError(
                f"cannot delete {item.path}: {error.strerror or error}; mend the permissions, or delete it "
                "by hand"
            ) from error
        deleted.append(item)
        tell(item)
    return deleted


@dataclass
class _Facts:
    """What is known of the searches of a home; each is looked at once."""

    home: Path
    training_runs: Mapping[str, Collection[str]] | None
    _uids: dict[str, frozenset[str] | None] = field(default_factory=dict)

    @cached_property
    def running(self) -> frozenset[str]:
        """Searches whose drivers are alive."""
        return frozenset(running_searches(self.home))

    def lock(self, search: str) -> Path | None:
        """The lock of a search; None if there is none, and so nobody who could hold it."""
        path = journal_path(self.home, search).with_suffix(".lock")
        return path if path.exists() else None

    def uids(self, search: str) -> frozenset[str] | None:
        """Uids of the trials in a search's study, none without a study; None if it cannot be read."""
        if search not in self._uids:
            self._uids[search] = self._read_uids(search)
        return self._uids[search]

    def waits(self, search: str) -> bool:
        """Whether records of a search wait for MLflow, or may."""
        try:
            return len(Journal(self.home / SPOOL_FOLDER, search, mend=False)) > 0
        except (RegistryError, StorageError):
            return True

    def _read_uids(self, search: str) -> frozenset[str] | None:
        path = journal_path(self.home, search)
        if not path.exists() or path.stat().st_size == 0:
            return frozenset()
        try:
            return frozenset(str(trial.user_attrs.get(UID)) for trial in read_trials(self.home, search))
        except Exception:  # whatever Optuna raises of a damaged journal
            return None


def _of_trials(path: Path, facts: _Facts) -> Iterator[Garbage]:
    if trial := _TRIAL.fullmatch(path.name):
        search = trial["search"]
        uids = facts.uids(search)
        if search in facts.running or uids is None or facts.waits(search) or not path.is_dir():
            return
        lock = facts.lock(search)
        known, reason = path.name in uids, f"no study has this trial of search {search!r}"
    elif training := _TRAINING.fullmatch(path.name):
        lock = path.with_name(f"{path.name}.lock")
        if not path.is_dir() or _is_held(lock):
            return
        lock = lock if lock.exists() else None
        recorded = (facts.training_runs or {}).get(training["search"])
        known = recorded is None or path.name in recorded
        reason = "MLflow has no such training run"
    else:
        if _LEFTOVER.fullmatch(path.name) and _is_old(path):
            yield _garbage(path, "left by a write that was interrupted")
        return
    if not known:
        yield _garbage(path, reason, lock)
        return
    for part in _entries(path):
        if _LEFTOVER.fullmatch(part.name):
            yield _garbage(part, "left by a write or a deletion that was interrupted", lock)


def _of_ray(facts: _Facts) -> Iterator[Garbage]:
    for path in _entries(facts.home / "ray"):
        run = _RAY_RUN.fullmatch(path.name)
        if run and path.is_dir() and run["search"] not in facts.running:
            reason = "Ray's notes on a run that has ended; nothing is restored from them"
            yield _garbage(path, reason, facts.lock(run["search"]))


def _of_downloads(folder: Path, kept: Collection[Path] | None) -> Iterator[Garbage]:
    for run in _entries(folder):
        for path in _entries(run):
            if path.name.startswith("."):
                if _is_old(path):
                    yield _garbage(path, "left by a download that was interrupted")
            elif kept is not None and path not in kept:
                yield _garbage(path, "a download of a version that is no longer in the MLflow store")


def _of_spool(facts: _Facts) -> Iterator[Garbage]:
    for path in _entries(facts.home / SPOOL_FOLDER):
        if _LEFTOVER.fullmatch(path.name) and _is_old(path):
            yield _garbage(path, "left by a write that was interrupted")
        elif path.name.endswith(".jsonl") and not path.name.startswith("."):
            search = path.name.removesuffix(".jsonl").removesuffix(".refused")
            if search in facts.running or journal_path(facts.home, search).exists():
                continue
            is_empty = path.stat().st_size == 0 if path.stem.endswith(".refused") else not facts.waits(search)
            if is_empty:
                yield _garbage(path, f"nothing of search {search!r} waits for MLflow", facts.lock(search))


def _of_store(home: Path) -> Iterator[Garbage]:
    store = home / STORE_FILE
    lock = home / f"{STORE_FILE}.lock"
    if not store.exists() or store.stat().st_size == 0 or _is_held(lock):
        return
    for path in (home / f"{STORE_FILE}.creating", home / f"{STORE_FILE}.creating-journal"):
        if path.exists():
            yield _garbage(path, "left by a creation of the MLflow store that was interrupted", lock)


def _garbage(path: Path, reason: str, lock: Path | None = None) -> Garbage:
    return Garbage(path, _size_bytes(path), reason, lock)


def _entries(folder: Path) -> Iterator[Path]:
    """What is in a folder, by name, but for links: what they lead to is not ours to judge."""
    try:
        paths = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise StorageError(f"cannot read {folder}: {error.strerror or error}") from error
    yield from (path for path in paths if not path.is_symlink())


def _size_bytes(path: Path) -> int:
    if not path.is_dir():
        return path.lstat().st_size
    files = (Path(folder) / name for folder, _, names in os.walk(path) for name in names)
    return sum(file.lstat().st_size for file in files)


def _is_old(path: Path) -> bool:
    return time.time() - path.lstat().st_mtime > MIN_AGE_S


def _is_held(lock: Path) -> bool:
    """Whether another process holds a lock; one that cannot be tried may be held."""
    if not lock.exists():
        return False
    try:
        with FileLock(lock, timeout=0):
            return False
    except (Timeout, OSError):
        return True
