"""The study: one Optuna journal file per search, the only source of truth, written by one driver at a time.

The journal is append-only and survives any kill; what a kill can leave is a torn last line, which loads
once and poisons the file after the next append. So it is cut back to its last newline on opening, under
the driver's lock.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import FrozenTrial, TrialState

from vgsearch.errors import SearchError, StorageError
from vgsearch.search.facts import EPOCH, EpochFacts

IDENTITY = "vgsearch.identity"
NUM_TRIALS = "vgsearch.num_trials"
FILE_TRIALS = "vgsearch.file_trials"
ENDED = "vgsearch.ended"
WALL_S = "vgsearch.wall_s"
DETERMINISTIC = "vgsearch.deterministic"
WARM_START = "vgsearch.warm_start"
RECORDED_WEIGHTS = "vgsearch.recorded_weights"
PROVENANCE = "vgsearch.provenance"
_TOKEN = "vgsearch.token"

# A `vgsearch status` holds the lock for an instant to see whether a driver does.
LOCK_TIMEOUT_S = 0.5

UID = "vgsearch.uid"
EPOCHS = "vgsearch.epochs"
STATE = "vgsearch.state"
REASON = "vgsearch.reason"
REPEAT_OF = "vgsearch.repeat_of"
SEED = "vgsearch.seed"
HELD = "vgsearch.held"
TRUNK = "vgsearch.trunk"
TRUNK_TRIAL = "vgsearch.trunk_trial"


# How each end of a trial is told to Optuna.
OPTUNA_STATE = {
    "complete": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    "infeasible": TrialState.PRUNED,
    "failed": TrialState.FAIL,
    "out_of_memory": TrialState.FAIL,
}


class _HeldElsewhere(JournalFileSymlinkLock):
    """No lock of Optuna's own: ours is held for the driver's whole life, and a killed process frees it."""

    def acquire(self) -> bool:
        """Always granted; see the class."""
        return True

    def release(self) -> None:
        """Nothing to give back."""


class Study:
    """The trials of one search, read and written through Optuna, with the driver's lock held.

    Made by `Study.create` or `Study.resume`; `close` gives the lock back.
    """

    def __init__(self, path: Path, lock: FileLock) -> None:
        self.path = path
        self._lock = lock
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        backend = JournalFileBackend(str(path), lock_obj=_HeldElsewhere(str(path)))
        # Proposals are made on an in-memory copy, so this sampler is never asked; the random one costs
        # nothing when a trial is re-attached.
        self.optuna = optuna.create_study(
            study_name=path.stem,
            storage=JournalStorage(backend),
            direction="maximize",
            sampler=optuna.samplers.RandomSampler(seed=0),
            load_if_exists=True,
        )

    @classmethod
    def create(
        cls, home: Path, name: str, identity: Mapping[str, Any], settings: Mapping[str, Any] | None = None
    ) -> Study:
        """Start the journal of a new search.

        Args:
            home: where studies lie.
            name: of the search.
            identity: what must not change between the search and its continuation.
            settings: more attributes of the study, which may.

        Raises:
            SearchError: a search of that name exists, or another driver runs it.
            StorageError: the folder cannot be written.
        """
        path, lock = _locked(home, name)
        if path.exists() and path.stat().st_size:
            _repair(path)
            count = len(cls(path, lock).trials())
            if count:
                lock.release()
                raise SearchError(
                    f"search {name!r} already exists in {path} ({count} trials): continue it with --resume, "
                    f"or start another with --set name=NAME"
                )
            # It ended before its first trial (no node could hold one, say), and starts anew.
            path.unlink()
        study = cls(path, lock)
        study.optuna.set_user_attr(_TOKEN, secrets.token_hex(2))
        for key, value in (settings or {}).items():
            study.optuna.set_user_attr(key, value)
        # Last: a study that has it is whole.
        study.optuna.set_user_attr(IDENTITY, json.dumps(identity, sort_keys=True))
        return study

    @classmethod
    def resume(cls, home: Path, name: str) -> Study:
        """Open the journal of a search that exists, cutting a torn last line away.

        Raises:
            SearchError: there is no such search, or another driver runs it.
        """
        path = journal_path(home, name)
        if not path.exists() or not path.stat().st_size:
            raise SearchError(f"no search {name!r} to resume: {path} does not exist; run it without --resume")
        path, lock = _locked(home, name)
        _repair(path)
        study = cls(path, lock)
        if study.optuna.user_attrs.get(IDENTITY) is None:
            study.close()
            raise SearchError(
                f"search {name!r} ended before its first trial was written; run it again without --resume"
            )
        return study

    @property
    def identity(self) -> dict[str, Any]:
        """What the search was started with, as given to `create`."""
        loaded: dict[str, Any] = json.loads(self.optuna.user_attrs[IDENTITY])
        return loaded

    def setting(self, key: str, default: Any = None) -> Any:
        """An attribute of the study."""
        return self.optuna.user_attrs.get(key, default)

    def set_setting(self, key: str, value: Any) -> None:
        """Write an attribute of the study, unless it has that value."""
        if self.setting(key) != value:
            self.optuna.set_user_attr(key, value)

    def uid(self, number: int) -> str:
        """The trial's name everywhere: study, MLflow and folders.

        The token keeps a search apart from a deleted one of the same name whose folders remain.
        """
        return f"{self.path.stem}-{self.optuna.user_attrs[_TOKEN]}-{number:04d}"

    def trials(self) -> list[FrozenTrial]:
        """All trials in order of their numbers."""
        return self.optuna.get_trials(deepcopy=False)

    def add_running(self, trial: FrozenTrial) -> FrozenTrial:
        """Write a whole proposal as one RUNNING record and return it with its number.

        One record, because a driver killed between two `suggest` calls would, re-seeded alike, draw the
        second parameter with the first one's randomness.
        """
        number = len(self.trials())
        trial.set_user_attr(UID, self.uid(number))
        self.optuna.add_trial(trial)
        return self.trials()[number]

    def report(self, number: int, epoch: int, value: float, facts: EpochFacts) -> None:
        """Store one completed epoch's objective; an epoch that is stored already stays as it is."""
        frozen = self.trials()[number]
        if epoch in frozen.intermediate_values:
            return
        trial = self._attach(frozen)
        # Before the value: killed in between, the epoch has not arrived, and gets a new number when it does.
        trial.set_user_attr(EPOCH + str(epoch), facts.to_attribute())
        trial.report(value, step=epoch)

    def note(self, number: int, key: str, value: Any) -> None:
        """Store an attribute of an unfinished trial."""
        self._attach(self.trials()[number]).set_user_attr(key, value)

    def violate(self, number: int, constraint: str, excess: float) -> None:
        """Store by how much an unfinished trial is above what a constraint allows, for samplers to learn."""
        frozen = self.trials()[number]
        if constraint not in frozen.constraints:
            self._attach(frozen).set_constraint(constraint, excess)

    def tell(self, number: int, state: TrialState, value: float | None) -> None:
        """End a trial; the last of the driver's writes about it. A trial that has ended stays as it is."""
        frozen = self.trials()[number]
        if frozen.state.is_finished():
            return
        self.optuna.tell(number, value, state=state)

    def close(self) -> None:
        """Give the driver's lock back."""
        self._lock.release()

    def _attach(self, frozen: FrozenTrial) -> optuna.trial.Trial:
        return optuna.trial.Trial(self.optuna, frozen._trial_id)


def journal_path(home: Path, name: str) -> Path:
    """Where the journal of a search lies."""
    return home / "studies" / f"{name}.journal"


def read_study(home: Path, name: str) -> optuna.Study:
    """Open a search's study to be read without the lock, as another process may while the search runs.

    A last line that is being written is left out: Optuna takes it as not yet there.

    Raises:
        SearchError: there is no such search.
    """
    path = journal_path(home, name)
    if not path.exists() or not path.stat().st_size:
        raise SearchError(f"no search {name!r}: {path} does not exist")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = JournalStorage(JournalFileBackend(str(path), lock_obj=_HeldElsewhere(str(path))))
    try:
        return optuna.load_study(study_name=name, storage=storage)
    except KeyError:
        raise SearchError(f"search {name!r} has only just begun: {path} holds no study yet") from None


def read_trials(home: Path, name: str) -> Sequence[FrozenTrial]:
    """Read a search's trials without the lock, see `read_study`.

    Raises:
        SearchError: there is no such search.
    """
    return read_study(home, name).get_trials(deepcopy=False)


def _locked(home: Path, name: str) -> tuple[Path, FileLock]:
    path = journal_path(home, name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_suffix(".lock"))
        lock.acquire(timeout=LOCK_TIMEOUT_S)
    except Timeout:
        raise SearchError(
            f"search {name!r} is running in another process (it holds {path.with_suffix('.lock')}): "
            f"wait for it, or stop it and use --resume"
        ) from None
    except OSError as error:
        raise StorageError(f"cannot write {path.parent}: {error.strerror}; choose another --home") from error
    return path, lock


def _repair(path: Path) -> None:
    """Cut a journal back to its last newline."""
    with path.open("r+b") as journal:
        size = journal.seek(0, os.SEEK_END)
        end = size
        while end:
            start = max(0, end - 65536)
            journal.seek(start)
            newline = journal.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end != size:
            journal.truncate(end)
            journal.flush()
            os.fsync(journal.fileno())
