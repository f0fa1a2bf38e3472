"""How a search stands, read from its journal while a driver may be writing it, or after."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from optuna.trial import FrozenTrial

from vgsearch.config.suggestions import nearest_hint
from vgsearch.errors import SearchError, StorageError
from vgsearch.registry.records import TrialState
from vgsearch.search.events import TrialEvent
from vgsearch.search.facts import best_epoch, epoch_facts, gpu_hours, gpu_peak_bytes
from vgsearch.search.finalists import searched
from vgsearch.search.plan import end_of_search
from vgsearch.search.study import (
    ENDED,
    EPOCHS,
    IDENTITY,
    NUM_TRIALS,
    REASON,
    REPEAT_OF,
    SEED,
    STATE,
    UID,
    WALL_S,
    journal_path,
    read_study,
)
from vgsearch.search.trunks import is_trunk, settings_of


@dataclass(frozen=True)
class SearchStatus:
    """A search as its journal tells it.

    Attributes:
        name: of the search.
        journal: its file.
        objective: the metric that ranks trials.
        is_alive: whether a driver holds the search's lock.
        num_trials: planned trials, repeats of finalists and trunks not counted.
        is_over: whether it ran to its end as planned now, the champion's scores included.
        cut_short_by: why it ended before all planned trials or repeats, in words; mostly empty.
        wall_hours: that its drivers have run, up to the latest epoch.
        gpu_hours: of all epochs.
        trials: in order of their numbers, repeats and trunks among them; `running` also stands for one whose
            driver is gone, `seconds` are those of its epochs.
    """

    name: str
    journal: Path
    objective: str
    is_alive: bool
    num_trials: int
    is_over: bool
    cut_short_by: str
    wall_hours: float
    gpu_hours: float
    trials: tuple[TrialEvent, ...]


def read_status(home: Path, name: str) -> SearchStatus:
    """Read how a search stands, without its lock and without writing anything.

    Raises:
        SearchError: there is no such search, it has no trial section yet, or its journal is damaged.
        StorageError: its files cannot be read.
    """
    path = journal_path(home, name)
    if name not in search_names(home):
        raise SearchError(_unknown(home, name))
    # Asked first: a driver that ends in between has written all that is read after.
    is_alive = driver_is_alive(home, name)
    try:
        study = read_study(home, name)
        trials = study.get_trials(deepcopy=False)
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise SearchError(f"{path} is damaged or no journal of a search ({error})") from error
    attributes = study.user_attrs
    if IDENTITY not in attributes:
        raise SearchError(f"search {name!r} has only just begun: its journal holds no trial yet")
    num_trials = max(int(attributes.get(NUM_TRIALS, 0)), len(searched(trials)))
    ended = attributes.get(ENDED) or end_of_search(0, "")
    is_over = ended["num_trials"] == num_trials and all(trial.state.is_finished() for trial in trials)
    return SearchStatus(
        name=name,
        journal=path,
        objective=str(json.loads(attributes[IDENTITY])["search"]["objective"]),
        is_alive=is_alive,
        num_trials=num_trials,
        is_over=is_over,
        cut_short_by=str(ended["cut_short_by"]) if is_over else "",
        wall_hours=float(attributes.get(WALL_S, 0)) / 3600,
        gpu_hours=gpu_hours(trials),
        trials=tuple(_standing(trial) for trial in trials),
    )


def search_names(home: Path) -> list[str]:
    """The searches that have a journal under `home`, in order of the alphabet."""
    return sorted(path.stem for path in (home / "studies").glob("*.journal") if path.stat().st_size)


def driver_is_alive(home: Path, name: str) -> bool:
    """Whether some process holds the search's lock.

    It asks for a shared lock and gives it back at once: two who look do not take each other for a driver. A
    driver that starts within those microseconds finds the lock taken and says so; the file is never made or
    changed here.

    Raises:
        StorageError: the lock's file cannot be read.
    """
    path = journal_path(home, name).with_suffix(".lock")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)  # gives the lock back, too
    return False


def _standing(trial: FrozenTrial) -> TrialEvent:
    values = trial.intermediate_values
    facts = epoch_facts(trial)
    latest = max(values, default=0)
    best = best_epoch(trial)
    return TrialEvent(
        number=trial.number,
        uid=str(trial.user_attrs[UID]),
        state=cast(TrialState, trial.user_attrs.get(STATE, "running")),
        reason=str(trial.user_attrs.get(REASON, "")),
        epoch=latest,
        epochs=int(trial.user_attrs.get(EPOCHS, latest)),
        value=values.get(latest),
        best=None if best is None else values[best],
        best_epoch=best,
        num_queries=0 if best is None else facts[best].num_queries,
        settings=settings_of(trial),
        seconds=sum(each.seconds for each in facts.values()),
        gpu_peak_bytes=gpu_peak_bytes(facts.values()),
        repeat_of=trial.user_attrs.get(REPEAT_OF),
        seed=trial.user_attrs.get(SEED),
        is_trunk=is_trunk(trial),
    )


def _unknown(home: Path, name: str) -> str:
    there = search_names(home)
    if not there:
        return (
            f"no search {name!r}: {home / 'studies'} holds none; start one with vgsearch tune FILE, "
            "or set --home"
        )
    return (
        f"no search {name!r} in {home / 'studies'}{nearest_hint(name, there)}; there are: {', '.join(there)}"
    )
