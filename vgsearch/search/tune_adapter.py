"""Ray Tune's searcher and scheduler, both of them thin: they ask the ledger.

Tune asks the scheduler about a result before it tells the searcher, so the scheduler is where a result is
recorded and judged. Both objects are pickled when a Tuner is made and by Tune's snapshots, which we never
restore from; the ledger, which holds files and locks, stays out of the pickle.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.tune import Callback, Stopper
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from vgsearch.errors import SearchError
from vgsearch.search.interrupts import Interruption
from vgsearch.search.ledger import Ledger
from vgsearch.search.messages import WorkerMessage

# More than the actor itself allows within one epoch: these have not even come that far.
MAX_SILENT_DEATHS = 6


def _give_up(uid: str, deaths: int, trial: Any) -> None:
    raise SearchError(
        f"{deaths} workers of trial {uid} died in a row before they could report (see {trial.error_file}): "
        f"check that every node has this version of vgsearch, then continue with --resume"
    )


class Desk:
    """Where Tune's hooks reach the ledger; keeps the first error, which Tune would take for a trial's."""

    def __init__(self, ledger: Ledger, interruption: Interruption, limit: Callable[[], int]) -> None:
        """Reach `ledger`; `limit` says how many trials may be handed out at once, now.

        Without a limit Tune would ask for a trial before it has room for one, and the sampler would decide
        it without the results of those that are running.
        """
        self.ledger = ledger
        self.limit = limit
        self.fatal: BaseException | None = None
        self._interruption = interruption

    def guarded(self, action: Callable[[], Any], otherwise: Any) -> Any:
        """Run `action`; on an error remember it, answer `otherwise`, and let the search wind down."""
        if self.fatal is not None:
            return otherwise
        try:
            return action()
        except Exception as error:
            self.fatal = error
            return otherwise

    @property
    def must_stop(self) -> bool:
        """Whether the search should wind down now."""
        return self._interruption.requested or self.fatal is not None


class _Deskless:
    """Leaves the desk out of pickles; see the module."""

    desk: Desk

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "desk"}


class LedgerSearcher(_Deskless, Searcher):
    """Hands the ledger's proposals to Tune."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self._uids: dict[str, str] = {}

    def suggest(self, trial_id: str) -> Any:
        """Give the next trial's config, None to wait, or FINISHED."""
        if self.desk.must_stop:
            return Searcher.FINISHED
        if self.desk.ledger.num_running >= self.desk.limit():
            return None
        spec = self.desk.guarded(lambda: self.desk.ledger.next_spec(self.desk.limit()), None)
        if spec is None:
            # What waits for its trunk is asked for again, unless an error winds the search down.
            return None if self.desk.fatal is None and self.desk.ledger.is_waiting else Searcher.FINISHED
        self._uids[trial_id] = spec.uid
        return {"uid": spec.uid, "spec": spec.model_dump_json()}

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """End a trial that Tune gives up; how any other ended, the scheduler has recorded."""
        if error:
            uid = self._uids[trial_id]
            self.desk.guarded(
                lambda: self.desk.ledger.lost(uid, "its worker died and could not restart"), None
            )

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the study is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Never used: a resumed search starts a fresh Tuner over the study."""


class LedgerScheduler(_Deskless, FIFOScheduler):
    """Records each result in the ledger and passes its verdict on."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.desk = desk
        self._starts: dict[str, int] = {}

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Count workers that died without a word; where none can even start, every trial meets the same."""
        uid = str(trial.config["uid"])
        self._starts[uid] = self._starts.get(uid, 0) + 1
        if self._starts[uid] >= MAX_SILENT_DEATHS:
            self.desk.guarded(lambda: _give_up(uid, self._starts[uid], trial), None)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Continue or stop, as the ledger says."""
        message = WorkerMessage.from_result(result)
        if message is None:
            return str(TrialScheduler.CONTINUE)
        self._starts.pop(message.uid, None)
        goes_on = self.desk.guarded(lambda: self.desk.ledger.receive(message), False)
        return str(TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP)


class DeskStopper(Stopper):
    """Ends the Tune run on a signal or after a driver's error."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """No trial is stopped here; the scheduler does that."""
        return False

    def stop_all(self) -> bool:
        """Say whether the whole run ends."""
        return self.desk.must_stop

    def __reduce__(self) -> Any:
        return (_never_stop, ())


class _NeverStop(Stopper):
    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return False


def _never_stop() -> Stopper:
    return _NeverStop()


class Heartbeat(Callback):
    """Calls `beat` in Tune's loop, so that a live table moves while an epoch trains."""

    def __init__(self, beat: Callable[[], None]) -> None:
        self.beat = beat

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Beat once for each turn of Tune's loop."""
        self.beat()

    def __getstate__(self) -> dict[str, Any]:
        return {}
