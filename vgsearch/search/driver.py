"""The driver: opens the study and the registry, runs the trials through Ray Tune, and crowns a champion."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vgsearch.config.document import SearchDocument
from vgsearch.config.search import DataConfig
from vgsearch.errors import RegistryError, SearchError, StorageError
from vgsearch.registry.protocol import Registry
from vgsearch.retrieval.recall import RetrievalResult
from vgsearch.search.cluster import live_nodes, ray_session
from vgsearch.search.events import Watcher, nobody
from vgsearch.search.interrupts import Interrupted, Interruption, winding_down
from vgsearch.search.ledger import Ledger
from vgsearch.search.outcome import TrialOutcome, trial_outcomes
from vgsearch.search.resources import Demand, decide_demand
from vgsearch.search.study import Study


@dataclass(frozen=True)
class SearchOutcome:
    """How a search ended: its trials, best first, and the champion's scores when it ran to its end."""

    trials: list[TrialOutcome]
    interrupted: bool
    seconds: float
    demand: Demand
    tests: Mapping[str, RetrievalResult]
    untrained: Mapping[str, RetrievalResult]


def run_search(
    document: SearchDocument,
    data: DataConfig,
    home: Path,
    registry: Registry,
    *,
    resume: bool = False,
    address: str | None = None,
    watch: Watcher = nobody,
    beat: Callable[[], None] = lambda: None,
    say: Callable[[str], None] = lambda text: None,
) -> SearchOutcome:
    """Run a search to its end, or until SIGINT or SIGTERM.

    Args:
        document: the loaded YAML.
        data: its data section with absolute folders.
        home: where the study, the trials and Ray's results lie; shared between nodes if there are several.
        registry: where runs and checkpoints are recorded; only this process writes to it.
        resume: continue a search that exists.
        address: a running Ray cluster to join (`auto` finds the local one); None starts Ray here.
        watch: told of every step of every trial.
        beat: called a few times a second while trials run.
        say: told in words what is going on.

    Raises:
        SearchError: the search exists (or does not, with `resume`), is running elsewhere, or has changed.
        ResourceError: no node can hold a trial.
    """
    started = time.monotonic()
    identity = search_identity(document, data)
    study = Study.resume(home, document.name) if resume else Study.create(home, document.name, identity)
    interruption = Interruption(say)
    interrupted = False
    tests: Mapping[str, RetrievalResult] = {}
    untrained: Mapping[str, RetrievalResult] = {}

    def signals() -> AbstractContextManager[None]:
        last_words = f"search {document.name!r} was interrupted; continue it with --resume"
        return winding_down(interruption.request, last_words=last_words)

    try:
        if resume:
            _check_unchanged(study.identity, identity, document)
        # Twice: Ray puts its own handlers in place when it starts.
        with signals(), ray_session(address) as nodes, signals():
            demand = decide_demand(document.resources, nodes)
            ledger = Ledger(document, data, study, registry, watch)
            try:
                if ledger.num_to_run:
                    say(
                        f"{ledger.num_to_run} trials to run, {_at_once(document, demand)} at a time, "
                        f"each on {demand.cpus:g} CPUs and {demand.gpus:g} GPUs"
                    )
                    if ledger.stops_nobody:
                        say("asha stops nobody: search.scheduler.grace_epochs is not below trial.epochs")
                    _run_trials(ledger, demand, document, home, beat, interruption)
                interruption.check()
                tests, untrained = _finale(ledger, demand, registry, home, beat, say, interruption)
            except Interrupted:
                interrupted = True
                registry.finish_search(ledger.search_run, "interrupted")
            except BaseException:
                with suppress(RegistryError):
                    registry.finish_search(ledger.search_run, "failed")
                raise
            else:
                registry.finish_search(ledger.search_run, "complete" if ledger.best() else "failed")
        return SearchOutcome(
            trials=trial_outcomes(study.trials(), home, document),
            interrupted=interrupted,
            seconds=time.monotonic() - started,
            demand=demand,
            tests=tests,
            untrained=untrained,
        )
    finally:
        study.close()


def search_identity(document: SearchDocument, data: DataConfig) -> dict[str, Any]:
    """What must not change between a search and its continuation; trials and resources may."""
    search = document.search.model_dump(mode="json")
    del search["num_trials"]
    return {
        "trial": json.loads(document.space.to_json()),
        "data": data.model_dump(mode="json"),
        "eval": document.eval.model_dump(mode="json"),
        "search": search,
    }


def _check_unchanged(before: Mapping[str, Any], now: Mapping[str, Any], document: SearchDocument) -> None:
    differences = document.space.differences(json.dumps(before["trial"]))
    for section in ("data", "eval", "search"):
        for key in sorted(set(before[section]) | set(now[section])):
            was, is_now = before[section].get(key), now[section].get(key)
            if was != is_now:
                differences.append(f"{section}.{key} was {was!r}, is now {is_now!r}")
    if differences:
        raise SearchError(
            f"{document.source} has changed since search {document.name!r} began, so it cannot be resumed "
            f"({'; '.join(differences)}): restore it, or start another search with --set name=NAME"
        )


def _at_once(document: SearchDocument, demand: Demand) -> int:
    """How many trials may run now: as many as fit the nodes that are up, or fewer if the user says so."""
    fitting = max(1, demand.capacity(live_nodes()))
    return min(fitting, document.resources.max_concurrent or fitting)


def _run_trials(
    ledger: Ledger,
    demand: Demand,
    document: SearchDocument,
    home: Path,
    beat: Callable[[], None],
    interruption: Interruption,
) -> None:
    """Run the ledger's trials through Tune, until they are done or a signal cuts them short."""
    from ray import tune

    from vgsearch.search.trial_actor import TrialActor
    from vgsearch.search.tune_adapter import (
        Desk,
        DeskStopper,
        Heartbeat,
        LedgerScheduler,
        LedgerSearcher,
    )

    desk = Desk(ledger, interruption, lambda: _at_once(document, demand))
    trials = home / "trials"
    try:
        trials.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot write {trials}: {error.strerror}; choose another --home") from error
    run = f"{document.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    tuner = tune.Tuner(
        tune.with_resources(TrialActor, {"cpu": demand.cpus, "gpu": demand.gpus}),
        param_space={
            "trials": str(trials),
            "threads": demand.threads,
            "loader_threads": document.resources.loader_threads,
            "run": run,
        },
        tune_config=tune.TuneConfig(
            search_alg=LedgerSearcher(desk),
            scheduler=LedgerScheduler(desk),
            num_samples=ledger.num_to_run,
            reuse_actors=True,
            trial_name_creator=lambda trial: str(trial.config["uid"]),
            trial_dirname_creator=lambda trial: str(trial.config["uid"]),
        ),
        run_config=tune.RunConfig(
            name=run,
            storage_path=str(home / "ray"),
            stop=DeskStopper(desk),
            callbacks=[Heartbeat(beat)],
            failure_config=tune.FailureConfig(max_failures=-1),
            # The trainer writes its own checkpoints; Tune would ask the actor for another at the end.
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            verbose=0,
        ),
    )

    if not interruption.requested:
        tuner.fit()
    if desk.fatal is not None:
        raise desk.fatal


def _finale(
    ledger: Ledger,
    demand: Demand,
    registry: Registry,
    home: Path,
    beat: Callable[[], None],
    say: Callable[[str], None],
    interruption: Interruption,
) -> tuple[Mapping[str, RetrievalResult], Mapping[str, RetrievalResult]]:
    """Score the champion on the tests and its untrained backbone on val, once for each champion.

    The scores are kept with the champion's trial; a resumed search that ends with the same one reads them.
    """
    from vgsearch.search.finale import read_scores, score_finale, write_scores
    from vgsearch.search.outcome import best_checkpoint

    best, champion = ledger.best(), ledger.crown()
    if best is None or champion is None:
        return {}, {}
    checkpoint = best_checkpoint(home / "trials" / champion.uid)
    if checkpoint is None:
        return {}, {}
    folder = home / "trials" / champion.uid / f"finale_{checkpoint.name}"
    kept = read_scores(folder)
    if kept is not None:
        return kept.tests, kept.untrained
    say(f"scoring the champion, trial {best.number}, on the tests, and its untrained backbone on val")

    def beat_or_leave() -> None:
        interruption.check()
        beat()

    scores = score_finale(ledger.spec_of(best), checkpoint, demand, beat=beat_or_leave)
    metrics = {
        f"test/{name}/recall_at_{recall.n}": recall.percent
        for name, result in scores.tests.items()
        for recall in result.recalls()
    }
    files = {f"test__{name}.npz": result.to_npz_bytes() for name, result in scores.tests.items()}
    registry.log_scores(champion.run_id, metrics, files)
    write_scores(folder, scores)
    return scores.tests, scores.untrained
