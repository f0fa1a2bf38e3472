"""The driver: opens the study and the registry, runs the trials through Ray Tune, and crowns a champion."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vgsearch.config.document import SearchDocument
from vgsearch.config.sampler_checks import sampler_remarks
from vgsearch.config.search import DataConfig
from vgsearch.errors import RegistryError, SearchError, StorageError
from vgsearch.registry.protocol import Recorder
from vgsearch.registry.scored_tests import TESTED_TAG
from vgsearch.retrieval.recall import RetrievalResult
from vgsearch.search.cluster import live_nodes, ray_session
from vgsearch.search.constraints import check_repeatable
from vgsearch.search.events import Watcher, nobody
from vgsearch.search.final_looks import FinalLooks, ScoredChampion
from vgsearch.search.finalists import Finalist
from vgsearch.search.interrupts import Interrupted, Interruption, winding_down
from vgsearch.search.ledger import EXTENDABLE, Ledger
from vgsearch.search.memory import Holding
from vgsearch.search.node_check import check_nodes
from vgsearch.search.outcome import TrialOutcome, trial_outcomes
from vgsearch.search.plan import end_of_search
from vgsearch.search.provenance import changes_since, gather, this_node
from vgsearch.search.resources import Demand, Node, decide_demand
from vgsearch.search.study import (
    DETERMINISTIC,
    ENDED,
    FILE_TRIALS,
    NUM_TRIALS,
    PROVENANCE,
    UID,
    WALL_S,
    WARM_START,
    Study,
)
from vgsearch.search.warm_start import WarmStart, read_warm_start

_Scores = tuple[Mapping[str, RetrievalResult], Mapping[str, RetrievalResult], FinalLooks]


@dataclass(frozen=True)
class SearchOutcome:
    """How a search ended: its trials, best first, and the champion's scores when it ran to its end.

    Attributes:
        trials: of the search, repeats of finalists included.
        interrupted: whether a signal ended it.
        seconds: that this driver has run.
        demand: what one trial held.
        tests: the champion's results on the tests.
        untrained: its untrained backbone's on val.
        finalists: the repeated trials, the highest mean first.
        champion: number of the champion's trial; None without one.
        test_looks: how often each test was scored so far.
    """

    trials: list[TrialOutcome]
    interrupted: bool
    seconds: float
    demand: Demand
    tests: Mapping[str, RetrievalResult]
    untrained: Mapping[str, RetrievalResult]
    finalists: Sequence[Finalist] = ()
    champion: int | None = None
    test_looks: FinalLooks = field(default_factory=dict)


def run_search(
    document: SearchDocument,
    data: DataConfig,
    home: Path,
    registry: Recorder,
    *,
    resume: bool = False,
    deterministic: bool = False,
    warm_start: str | None = None,
    trials_in_file: int | None = None,
    address: str | None = None,
    watch: Watcher = nobody,
    beat: Callable[[], None] = lambda: None,
    say: Callable[[str], None] = lambda text: None,
) -> SearchOutcome:
    """Run a search to its end, or until SIGINT or SIGTERM.

    Args:
        document: the loaded YAML; its `search.num_trials` is how many the search is to have in all.
        data: its data section with absolute folders.
        home: where the study, the trials and Ray's results lie; shared between nodes if there are several.
        registry: where runs and checkpoints are recorded; only this process writes to it.
        resume: continue a search that exists.
        deterministic: one trial at a time, on kernels that repeat themselves, so that the search does; a
            search that began so goes on so.
        warm_start: name of an earlier search whose trials the sampler shall know.
        trials_in_file: what the file says of `search.num_trials` where the command line said otherwise.
        address: a running Ray cluster to join (`auto` finds the local one); None starts Ray here.
        watch: told of every step of every trial.
        beat: called a few times a second while trials run.
        say: told in words what is going on.

    Raises:
        SearchError: the search exists (or does not, with `resume`), is running elsewhere, or has changed.
        ResourceError: no node can hold a trial, or one does not see the folders.
    """
    started = time.monotonic()
    if deterministic:
        _check_repeatable(document)
    study = (
        _resume(document, data, home, deterministic=deterministic, warm_start=warm_start)
        if resume
        else _create(document, data, home, deterministic=deterministic, warm_start=warm_start, say=say)
    )
    study.set_setting(FILE_TRIALS, trials_in_file or document.search.num_trials)
    interruption = Interruption(say)
    interrupted = False
    scores: _Scores = ({}, {}, {})

    def signals() -> AbstractContextManager[None]:
        last_words = f"search {document.name!r} was interrupted; continue it with --resume"
        return winding_down(interruption.request, last_words=last_words)

    try:
        # Twice: Ray puts its own handlers in place when it starts.
        with signals(), ray_session(address) as nodes, signals():
            demand = decide_demand(document.resources, nodes)
            hardware = _hardware(nodes, data, home)
            holding = Holding(demand.gpus, demand.processes)
            ledger = Ledger(document, data, study, registry, watch, holding=holding)

            def beat_and_keep_time() -> None:
                ledger.keep_time()
                beat()

            try:
                _record_provenance(registry, ledger.search_run, study, gather(document, data, hardware))
                is_cluster = len(nodes) > 1
                run = _Run(ledger, demand, document, home, beat_and_keep_time, interruption, is_cluster)
                _search(run, say)
                interruption.check()
                scores = _finale(ledger, demand, registry, home, beat_and_keep_time, say, interruption)
                study.set_setting(ENDED, end_of_search(document.search.num_trials, ledger.cut_short_by))
            except Interrupted:
                interrupted = True
                registry.finish_search(ledger.search_run, "interrupted")
            except BaseException:
                with suppress(RegistryError):
                    registry.finish_search(ledger.search_run, "failed")
                raise
            else:
                registry.finish_search(ledger.search_run, "complete" if ledger.champion() else "failed")
            finally:
                ledger.keep_time(now=True)
            waiting = registry.flush()
            if waiting:
                say(
                    f"{waiting} records wait in {home / 'spool'} for the MLflow store: --resume delivers "
                    f"them, once it answers"
                )
        champion = ledger.champion()
        return SearchOutcome(
            trials=trial_outcomes(study.trials(), home, document),
            interrupted=interrupted,
            seconds=time.monotonic() - started,
            demand=demand,
            tests=scores[0],
            untrained=scores[1],
            finalists=ledger.finalists(),
            champion=None if champion is None else champion.number,
            test_looks=scores[2],
        )
    finally:
        study.close()


def search_identity(document: SearchDocument, data: DataConfig) -> dict[str, Any]:
    """What must not change between a search and its continuation; see `EXTENDABLE` for what may."""
    return {
        "trial": json.loads(document.space.to_json()),
        "data": data.model_dump(mode="json"),
        "eval": document.eval.model_dump(mode="json"),
        "search": document.search.model_dump(mode="json", exclude=set(EXTENDABLE)),
    }


def _create(
    document: SearchDocument,
    data: DataConfig,
    home: Path,
    *,
    deterministic: bool,
    warm_start: str | None,
    say: Callable[[str], None],
) -> Study:
    identity = search_identity(document, data)
    warm: WarmStart | None = None
    if warm_start is not None:
        warm = read_warm_start(home, warm_start, document, identity)
        for sentence in warm.sentences():
            say(sentence)
    settings = {
        NUM_TRIALS: document.search.num_trials,
        DETERMINISTIC: deterministic,
        WALL_S: 0,
        WARM_START: None if warm is None else warm.to_attribute(),
    }
    return Study.create(home, document.name, identity, settings)


def _resume(
    document: SearchDocument, data: DataConfig, home: Path, *, deterministic: bool, warm_start: str | None
) -> Study:
    study = Study.resume(home, document.name)
    try:
        _check_unchanged(study.identity, search_identity(document, data), document)
        if warm_start is not None:
            raise SearchError(
                f"--warm-start is for a new search, and {document.name!r} exists: leave it out to resume "
                f"(what the search was started with is kept), or start another with --set name=NAME"
            )
        began_so = bool(study.setting(DETERMINISTIC, False))
        if deterministic and not began_so:
            raise SearchError(
                f"search {document.name!r} began without --deterministic and cannot be made to repeat itself "
                f"now: resume it without, or start another with --set name=NAME"
            )
        if began_so:
            _check_repeatable(document)
        study.set_setting(NUM_TRIALS, document.search.num_trials)
    except BaseException:
        study.close()
        raise
    return study


def _record_provenance(registry: Recorder, run_id: str, study: Study, files: Mapping[str, bytes]) -> None:
    """Record where the search comes from; a resume adds what has changed since."""
    update = changes_since(study.setting(PROVENANCE), files)
    if update.files:
        registry.log_files(run_id, update.folder, update.files)
    study.set_setting(PROVENANCE, update.state)


def _check_repeatable(document: SearchDocument) -> None:
    budget = document.search.budget
    in_time = budget.wall_hours is not None or budget.gpu_hours is not None
    check_repeatable(document.search.constraints, budget_in_time=in_time)


def _hardware(nodes: Sequence[Node], data: DataConfig, home: Path) -> list[Mapping[str, object]]:
    """The hardware of every node; where there are several, each is also asked whether it sees the folders."""
    return check_nodes(nodes, data, home) if len(nodes) > 1 else [this_node()]


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


@dataclass(frozen=True)
class _Run:
    """What it takes to run the ledger's trials."""

    ledger: Ledger
    demand: Demand
    document: SearchDocument
    home: Path
    beat: Callable[[], None]
    interruption: Interruption
    is_cluster: bool

    def at_once(self) -> int:
        """How many trials may run now: as many as fit the nodes that are up, or fewer if the user says so."""
        if self.ledger.is_deterministic:
            return 1
        fitting = max(1, self.demand.capacity(live_nodes()))
        return min(fitting, self.document.resources.max_concurrent or fitting)


def _search(run: _Run, say: Callable[[str], None]) -> None:
    """Run the trials, and after them the finalists' repeats."""
    ledger = run.ledger
    if ledger.num_to_run:
        demand = run.demand
        together = f", in {demand.processes} processes" if demand.processes > 1 else ""
        say(
            f"{ledger.num_to_run} trials to run, {run.at_once()} at a time, each on {demand.cpus:g} CPUs and "
            f"{demand.gpus:g} GPUs{together}"
        )
        for remark in sampler_remarks(run.document.space, run.document.search):
            say(remark)
        if ledger.stops_nobody:
            name = run.document.search.scheduler.name
            say(f"{name} stops nobody: search.scheduler.grace_epochs is not below trial.epochs")
        _run_trials(run)
    run.interruption.check()
    if ledger.cut_short_by:
        say(ledger.cut_short_by)
    finalists = run.document.search.finalists
    missing = 0 if finalists is None else ledger.plan_repeats()
    if finalists is None or not missing:
        return
    if ledger.budget_spent:
        say(f"{missing} repeats of the finalists are left out; a larger budget and --resume adds them")
        return
    say(f"{missing} repeats to run: the best {finalists.top} on {finalists.seeds} seeds each")
    _run_trials(run)


def _run_trials(run: _Run) -> None:
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

    desk = Desk(run.ledger, run.interruption, run.at_once)
    trials = run.home / "trials"
    try:
        trials.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot write {trials}: {error.strerror}; choose another --home") from error
    name = f"{run.document.name}-{time.strftime('%Y%m%d-%H%M%S')}-{time.time_ns() % 1000:03d}"
    tuner = tune.Tuner(
        tune.with_resources(TrialActor, {"cpu": run.demand.cpus, "gpu": run.demand.gpus}),
        param_space={
            "trials": str(trials),
            "threads": run.demand.threads,
            "loader_threads": run.document.resources.loader_threads,
            "processes": run.demand.processes,
            "gpus": run.demand.gpus,
            "is_cluster": run.is_cluster,
            "run": name,
        },
        tune_config=tune.TuneConfig(
            search_alg=LedgerSearcher(desk),
            scheduler=LedgerScheduler(desk),
            num_samples=run.ledger.most_to_hand_out,
            reuse_actors=True,
            trial_name_creator=lambda trial: str(trial.config["uid"]),
            trial_dirname_creator=lambda trial: str(trial.config["uid"]),
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=str(run.home / "ray"),
            stop=DeskStopper(desk),
            callbacks=[Heartbeat(run.beat)],
            failure_config=tune.FailureConfig(max_failures=-1),
            # The trainer writes its own checkpoints; Tune would ask the actor for another at the end.
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            verbose=0,
        ),
    )

    if not run.interruption.requested:
        tuner.fit()
    if desk.fatal is not None:
        raise desk.fatal


def _finale(
    ledger: Ledger,
    demand: Demand,
    registry: Recorder,
    home: Path,
    beat: Callable[[], None],
    say: Callable[[str], None],
    interruption: Interruption,
) -> _Scores:
    """Score the champion on the tests and its untrained backbone on val, once for each champion.

    The scores are kept with the champion's trial; a resumed search that ends with the same one reads them.
    The scoring of the tests is counted, for each champion once.
    """
    from vgsearch.search.finale import read_scores, score_finale, write_scores
    from vgsearch.search.outcome import best_checkpoint

    champion = ledger.crown()
    if champion is None:
        return {}, {}, {}
    trial_folder = home / "trials" / str(champion.user_attrs[UID])
    checkpoint = best_checkpoint(trial_folder)
    if checkpoint is None:
        return {}, {}, {}
    scored = ScoredChampion.of(ledger.document.name, str(champion.user_attrs[UID]), checkpoint)
    folder = trial_folder / f"finale_{checkpoint.name}"
    kept = read_scores(folder)
    if kept is not None:
        return kept.tests, kept.untrained, scored.count(registry, kept.tests)
    say(f"scoring the champion, trial {champion.number}, on the tests, and its untrained backbone on val")

    def beat_or_leave() -> None:
        interruption.check()
        beat()

    scores = score_finale(ledger.spec_of(champion), checkpoint, demand, beat=beat_or_leave)
    looks = scored.count(registry, scores.tests)
    metrics = {
        f"test/{name}/recall_at_{recall.n}": recall.percent
        for name, result in scores.tests.items()
        for recall in result.recalls()
    }
    files = {f"test__{name}.npz": result.to_npz_bytes() for name, result in scores.tests.items()}
    run_id = registry.find_run(ledger.document.name, str(champion.user_attrs[UID]))
    registry.log_scores(run_id, metrics, files, tags={TESTED_TAG: scored.key})
    write_scores(folder, scores)
    return scores.tests, scores.untrained, looks
