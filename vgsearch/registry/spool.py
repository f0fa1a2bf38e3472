"""A recorder that can wait: while the store does not answer, calls queue on disk and are delivered later.

A search of days then outlives its MLflow server's restarts. Calls are delivered in the order they were made,
and since every call is idempotent, one that is repeated after a kill or a lost answer is in effect once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from vgsearch.errors import CheckpointError, RegistryError, RegistryUnreachableError
from vgsearch.registry.checkpoint_files import recorded_files
from vgsearch.registry.names import check_folder, check_key, check_segment
from vgsearch.registry.params import flatten
from vgsearch.registry.protocol import Registry
from vgsearch.registry.records import (
    SEARCH_ENDS,
    TRIAL_ENDS,
    ModelVersion,
    SearchState,
    TrialState,
    check_epoch,
    check_last_state,
    finite_metrics,
)
from vgsearch.registry.scored_tests import Looks, new_scoring
from vgsearch.registry.spool_calls import Call, handle, parse_handle
from vgsearch.registry.spool_journal import Journal
from vgsearch.registry.spool_reads import SpoolReads, own_version

RETRY_S = 15.0
# A store that takes long to fail (a host that is gone) is asked less often: the caller waits meanwhile.
PAUSE_PER_FAILURE = 5.0
DELIVERY_S = 5.0


class SpooledRegistry(SpoolReads):
    """A `Recorder` over a `Registry`, with reads that pass through after what waits has been delivered.

    Run ids are handles of its own, made of names alone, also in the records that it reads; they are the
    same in every process. A search must have been opened in the store once before its calls are kept. Calls
    come from one thread, and one process at a time writes to a search: its driver, under the study's lock.

    Attributes:
        say: Told in words when the store goes away, comes back, or refuses a call that had waited.
    """

    def __init__(
        self,
        open_inner: Callable[[], Registry],
        folder: Path,
        *,
        store: str = "",
        say: Callable[[str], None] = lambda text: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the registry behind; one that does not answer now is opened later.

        Args:
            open_inner: Opens it; should fail within seconds, like `MlflowRegistry(..., patient=False)`.
            folder: Where journals lie.
            store: The store's name, to tell it from another one that the same folder was used with.
            say: See the class.
            clock: Seconds, from any start.

        Raises:
            RegistryError: It cannot be opened, and not because it does not answer.
        """
        self.say = say
        self._open_inner = open_inner
        self._folder = folder
        self._store = store
        self._clock = clock
        self._journals: dict[str, Journal] = {}
        self._runs: dict[str, str] = {}
        self._next_try_s = -math.inf
        self._failure = ""
        self._told = False
        self._delivered = 0
        self._inner: Registry | None = None
        started_s = clock()
        try:
            self._inner = open_inner()
        except RegistryUnreachableError as error:
            self._failed(error, started_s)

    def open_search(
        self,
        name: str,
        *,
        params: Mapping[str, object],
        config_text: str,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """See `Recorder.open_search`. What an earlier process left waiting is delivered first.

        Raises:
            RegistryUnreachableError: The store does not answer, and the search was never opened in it.
            RegistryError: Calls wait for another store.
        """
        check_segment(name, "a search's name")
        journal = self._journal(name)
        if len(journal) and journal.store != self._store:
            raise RegistryError(
                f"{len(journal)} records of search {name!r} wait in {journal.path} for the MLflow store "
                f"{journal.store}, but this is {self._store}: go on with that store, or delete the file"
            )
        arguments = {"params": flatten(params), "config_text": config_text, "tags": _checked(tags)}
        self._write(Call("open_search", {"name": name, **arguments}), at_once=True)
        return handle(name)

    def open_trial(
        self, search: str, uid: str, *, label: str, params: Mapping[str, object], spec_text: str
    ) -> str:
        """See `Recorder.open_trial`."""
        check_segment(uid, "a trial's uid")
        arguments = {"label": label, "params": flatten(params), "spec_text": spec_text}
        self._write(Call("open_trial", {"search": search, "uid": uid, **arguments}))
        return handle(search, uid)

    def log_epoch(self, run_id: str, epoch: int, metrics: Mapping[str, float]) -> None:
        """See `Recorder.log_epoch`."""
        arguments = {"epoch": check_epoch(epoch), "metrics": _checked_metrics(metrics)}
        self._write(Call("log_epoch", {"run_id": run_id, **arguments}))

    def record_checkpoint(
        self,
        run_id: str,
        checkpoint: Path,
        *,
        search: str,
        uid: str,
        epoch: int,
        tags: Mapping[str, str] | None = None,
    ) -> ModelVersion | None:
        """See `Recorder.record_checkpoint`. The folder must stay until the call is delivered."""
        recorded_files(checkpoint)
        names = {"search": search, "uid": check_segment(uid, "a trial's uid"), "epoch": check_epoch(epoch)}
        arguments = {"run_id": run_id, "checkpoint": checkpoint.absolute(), **names, "tags": _checked(tags)}
        version = self._write(Call("record_checkpoint", arguments))
        return own_version(version) if isinstance(version, ModelVersion) else None

    def finish_trial(
        self, run_id: str, state: TrialState, *, reason: str = "", tags: Mapping[str, str] | None = None
    ) -> None:
        """See `Recorder.finish_trial`."""
        check_last_state(state, TRIAL_ENDS)
        arguments = {"run_id": run_id, "state": state, "reason": reason, "tags": _checked(tags)}
        self._write(Call("finish_trial", arguments))

    def finish_search(self, run_id: str, state: SearchState) -> None:
        """See `Recorder.finish_search`."""
        check_last_state(state, SEARCH_ENDS)
        self._write(Call("finish_search", {"run_id": run_id, "state": state}))

    def set_champion(self, search: str, version: str) -> None:
        """See `Registry.set_champion`."""
        self._write(Call("set_champion", {"search": search, "version": version}))

    def crown(self, search: str, uid: str) -> None:
        """See `Recorder.crown`; the newest version is chosen when the call is delivered."""
        self._write(Call("crown", {"search": search, "uid": check_segment(uid, "a trial's uid")}))

    def log_scores(
        self,
        run_id: str,
        metrics: Mapping[str, float],
        files: Mapping[str, bytes] | None = None,
        *,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """See `Recorder.log_scores`."""
        arguments = {"metrics": _checked_metrics(metrics), "files": _checked_files(files or {})}
        self._write(Call("log_scores", {"run_id": run_id, **arguments, "tags": _checked(tags)}))

    def log_files(self, run_id: str, folder: str, files: Mapping[str, bytes]) -> None:
        """See `Recorder.log_files`."""
        arguments = {"folder": check_folder(folder), "files": _checked_files(files)}
        self._write(Call("log_files", {"run_id": run_id, **arguments}))

    def count_test_scoring(
        self,
        search: str,
        split: str,
        *,
        reference: str,
        stamp: str,
        model: str = "",
        scoring_id: str | None = None,
    ) -> Looks | None:
        """See `Recorder.count_test_scoring`; the scoring gets its name now, so that it is delivered once."""
        scoring = new_scoring(split, reference=reference, stamp=stamp, model=model, scoring_id=scoring_id)
        names = {"search": search, "split": split, "scoring_id": scoring.id}
        arguments = {**names, "reference": scoring.reference, "stamp": stamp, "model": model}
        looks = self._write(Call("count_test_scoring", arguments))
        return looks if isinstance(looks, Looks) else None

    def find_run(self, search: str, uid: str | None = None) -> str:
        """See `Recorder.find_run`; while calls wait, a run is taken to be there."""
        journal = self._journal(check_segment(search, "a search's name"))
        if journal.store != self._store or not (len(journal) or self._must_wait()):
            try:
                self._reach().find_run(search, uid)
            except RegistryUnreachableError:
                if journal.store != self._store:
                    raise
        return handle(search, uid or "")

    def flush(self) -> int:
        """See `Recorder.flush`."""
        for journal in self._journals.values():
            self._deliver(journal, limit_s=math.inf)
        return sum(len(journal) for journal in self._journals.values())

    def _write(self, call: Call, *, at_once: bool = False) -> object:
        """Perform a call and return its result, or queue it and return None.

        Args:
            call: The call.
            at_once: Ask the store even if it failed a moment ago, and deliver all that waits.
        """
        search = call.search
        if search is None:
            return self._perform(call)
        journal = self._journal(check_segment(search, "a search's name"))
        if len(journal) or (self._must_wait() and not at_once):
            self._keep(call, journal)
            if at_once or not self._must_wait():
                self._deliver(journal, limit_s=math.inf if at_once else DELIVERY_S)
            return None
        started_s = self._clock()
        try:
            return self._perform(call)
        except RegistryUnreachableError as error:
            self._failed(error, started_s)
        self._keep(call, journal)
        return None

    def _keep(self, call: Call, journal: Journal) -> None:
        """Queue a call of a search that was opened in this store before."""
        if journal.store != self._store:
            raise RegistryUnreachableError(f"{self._failure}; try again when the MLflow store answers")
        journal.append(call)
        # Without a failure, it is only behind what an earlier process left.
        if self._failure and not self._told:
            self._told = True
            self.say(
                f"the MLflow store does not answer ({self._failure}); the search goes on, and what it "
                f"records waits in {journal.path}"
            )

    def _deliver(self, journal: Journal, *, limit_s: float) -> None:
        """Deliver waiting calls in order until the store fails, none is left or the time is over."""
        if not len(journal):
            return
        begun_s = self._clock()
        while len(journal):
            started_s = self._clock()
            try:
                self._perform(journal.first())
            except RegistryUnreachableError as error:
                self._failed(error, started_s)
                return
            except (RegistryError, CheckpointError) as error:
                journal.refuse(str(error))
                self.say(
                    f"a record that waited for the MLflow store cannot be delivered: {error}; it is kept "
                    f"in {journal.refused_path}"
                )
            else:
                journal.done()
                self._delivered += 1
            if self._clock() - begun_s > limit_s:
                return
        if self._delivered:
            self.say(f"the MLflow store answers: {self._delivered} records that waited for it are delivered")
        self._delivered, self._told = 0, False

    def _perform(self, call: Call) -> object:
        result = call.perform(self._reach(), self._run_of)
        self._next_try_s, self._failure = -math.inf, ""
        if call.method == "open_search":
            name = str(call.arguments["name"])
            self._runs[handle(name)] = str(result)
            self._journal(name).begin(self._store)
        elif call.method == "open_trial":
            self._runs[handle(call.arguments["search"], call.arguments["uid"])] = str(result)
        return result

    def _run_of(self, run_id: str) -> str:
        """Return the inner registry's run id for a handle; any other run id is its own already."""
        named = parse_handle(run_id)
        if named is None:
            return run_id
        if run_id not in self._runs:
            self._runs[run_id] = self._reach().find_run(*named)
        return self._runs[run_id]

    def _reach(self) -> Registry:
        if self._inner is None:
            try:
                self._inner = self._open_inner()
            except RegistryUnreachableError:
                raise
            except RegistryError as error:
                # It answers but is no store that we can use, so no call was refused: they wait on.
                raise RegistryUnreachableError(str(error)) from error
        return self._inner

    def _read(self) -> Registry:
        self.flush()
        return self._reach()

    def _journal(self, search: str) -> Journal:
        if search not in self._journals:
            self._journals[search] = Journal(self._folder, search)
        return self._journals[search]

    def _failed(self, error: RegistryUnreachableError, started_s: float) -> None:
        now_s = self._clock()
        self._failure = str(error)
        self._next_try_s = now_s + max(RETRY_S, PAUSE_PER_FAILURE * (now_s - started_s))

    def _must_wait(self) -> bool:
        return self._clock() < self._next_try_s


def _checked(tags: Mapping[str, str] | None) -> dict[str, str]:
    return {check_key(key, "a tag"): value for key, value in (tags or {}).items()}


def _checked_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    return {check_key(name, "a metric's name"): value for name, value in finite_metrics(metrics).items()}


def _checked_files(files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {check_segment(name, "a file's name"): content for name, content in files.items()}
