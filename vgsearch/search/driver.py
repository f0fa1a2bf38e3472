"""The driver: opens the study and the registry, runs the trials through Ray Tune, and crowns a champion."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from vgsearch.config.document import SearchDocument
from vgsearch.config.sampler_checks import sampler_remarks
from vgsearch.config.search import DataConfig
from vgsearch.errors import RegistryError
from vgsearch.registry.protocol import Recorder
from vgsearch.registry.scored_tests import TESTED_TAG
from vgsearch.retrieval.recall import RetrievalResult
from vgsearch.search.cluster import ray_session
from vgsearch.search.events import Watcher, nobody
from vgsearch.search.final_looks import FinalLooks, ScoredChampion
from vgsearch.search.finalists import Finalist
from vgsearch.search.interrupts import Interrupted, Interruption, winding_down
from vgsearch.search.ledger import Ledger
from vgsearch.search.memory import Holding
from vgsearch.search.node_check import check_nodes
from vgsearch.search.opening import open_study
from vgsearch.search.outcome import TrialOutcome, trial_outcomes
from vgsearch.search.plan import end_of_search
from vgsearch.search.provenance import changes_since, gather, this_node
from vgsearch.search.resources import Demand, Node, decide_demand
from vgsearch.search.study import ENDED, PROVENANCE, UID, Study
from vgsearch.search.tune_run import TuneRun

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
    study = open_study(
        document,
        data,
        home,
        resume=resume,
        deterministic=deterministic,
        warm_start=warm_start,
        trials_in_file=trials_in_file,
        say=say,
    )
    interruption = Interruption(say)
    interrupted = False
    scores: _Scores = ({}, {}, {})

    def signals() -> AbstractContextManager[None]:
        last_words = f"search {document.name!r} was interrupted; continue it with --resume"
        return winding_down(interruption.request, last_words=lambda: last_words)

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
                run = TuneRun(ledger, demand, document, home, beat_and_keep_time, interruption, is_cluster)
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


def _record_provenance(registry: Recorder, run_id: str, study: Study, files: Mapping[str, bytes]) -> None:
    """Record where the search comes from; a resume adds what has changed since."""
    update = changes_since(study.setting(PROVENANCE), files)
    if update.files:
        registry.log_files(run_id, update.folder, update.files)
    study.set_setting(PROVENANCE, update.state)


def _hardware(nodes: Sequence[Node], data: DataConfig, home: Path) -> list[Mapping[str, object]]:
    """The hardware of every node; where there are several, each is also asked whether it sees the folders."""
    return check_nodes(nodes, data, home) if len(nodes) > 1 else [this_node()]


def _search(run: TuneRun, say: Callable[[str], None]) -> None:
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
        run.run_trials()
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
    run.run_trials()


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
