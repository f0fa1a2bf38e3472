"""What a search prints at its end, from outcomes as the driver gives them."""

import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from vgsearch.cli.present import Watcher, print_outcome, watching
from vgsearch.config.document import load_document
from vgsearch.config.trial import TrialConfig
from vgsearch.errors import SearchError
from vgsearch.retrieval.recall import RetrievalResult
from vgsearch.search.driver import SearchOutcome
from vgsearch.search.events import TrialEvent
from vgsearch.search.finalists import Finalist
from vgsearch.search.outcome import TrialCosts, TrialOutcome
from vgsearch.search.resources import Demand

RNG = np.random.default_rng(0)
UTM_M = RNG.uniform(0, 2000, (200, 2))
HITS = RNG.random(200) < 0.5


def result(hits):
    return RetrievalResult("val", np.where(hits, 0, -1).astype(np.int32), 0, "s", query_utm_m=UTM_M)


def trial(number, hits, *, state="complete", reason="", query_ms=30.0, gpu_hours=0.0, repeat_of=None):
    results = {} if hits is None else {"": result(hits)}
    return TrialOutcome(
        number=number,
        uid=f"quick-ab12-{number:04d}",
        state=state,
        reason=reason,
        trial=TrialConfig(epochs=2, seed=number if repeat_of is not None else 0),
        epochs_done=2,
        best=None if hits is None else 100 * float(hits.mean()),
        best_epoch=None if hits is None else 1,
        checkpoint=None,
        results=results,
        seconds=60.0,
        costs=TrialCosts(
            descriptor_bytes=64, query_ms=query_ms, gpu_peak_bytes=None, gpu_hours=gpu_hours, hours=0.5
        ),
        repeat_of=repeat_of,
    )


@pytest.fixture
def show(space_file):
    document = load_document(space_file, ["search.finalists={top: 2, seeds: 2}"])

    def shown(*trials, finalists=(), champion=None, interrupted=False, width=200):
        outcome = SearchOutcome(
            trials=list(trials),
            interrupted=interrupted,
            seconds=60.0,
            demand=Demand(cpus=1, gpus=0),
            tests={},
            untrained={},
            finalists=finalists,
            champion=champion,
        )
        file = io.StringIO()
        print_outcome(
            outcome, document, Console(file=file, width=width), file=space_file, home=None, data_root=None
        )
        return file.getvalue()

    shown.document = document
    return shown


def test_the_best_two_are_compared_on_the_same_queries(show):
    better = HITS | (RNG.random(200) < 0.1)
    text = show(trial(1, better), trial(0, HITS))
    assert "The best trial stands apart from the next: on the same 200 queries trial 1 is" in text
    assert "McNemar's exact test" in text


def test_without_per_query_results_intervals_are_judged(show):
    far = trial(0, HITS)
    object.__setattr__(far.results[""], "stamp", "other queries")
    text = show(trial(1, HITS), far)
    assert "cannot be told apart on 200 queries by their intervals" in text


def test_repeats_are_finalists_and_no_rows_of_the_search(show):
    text = show(
        trial(1, HITS),
        trial(3, HITS, repeat_of=1),
        trial(0, HITS, query_ms=12.0),
        trial(2, HITS, repeat_of=1),
        finalists=[Finalist(1, "quick-ab12-0001", 50.0, (47.0, 48.0))],
        champion=3,
    )
    assert "Finalists on new seeds" in text
    assert "quick-ab12-0003" not in text
    assert "Chosen by the mean: trial 1. The champion is its best run, trial 3." in text
    assert "Pareto front of R@1 (high) and ms a query (low): trial 0 alone" in text


def test_a_trunk_is_named_and_competes_with_nobody(show):
    trunk = replace(trial(0, np.ones(200, dtype=bool)), is_trunk=True)
    text = show(trunk, trial(2, HITS), trial(1, HITS))
    assert "quick-ab12-0000" not in text
    assert (
        "Trunk 0 (resnet18.tv_in1k, 512-D, 2 of 2 epochs): val/recall_at_1 100.0; the trials of that "
        "architecture start from it" in text
    )
    with pytest.raises(SearchError, match="all of 1 trials failed; the first: its trunk, trial 0, failed"):
        show(trunk, trial(1, None, state="failed", reason="its trunk, trial 0, failed: loss"))


def test_nobody_kept_the_constraints(show):
    reason = "query_ms 30.0 is above the constraint 20"
    with pytest.raises(SearchError, match=r"none of 2 trials kept the constraints .*query_ms 30\.0.*loosen"):
        show(trial(0, HITS, state="infeasible", reason=reason), trial(1, None, state="failed", reason="x"))
    with pytest.raises(SearchError, match="all of 1 trials failed; the first: x"):
        show(trial(1, None, state="failed", reason="x"))


def test_an_interrupted_search_says_how_to_go_on(show):
    text = show(trial(0, HITS), trial(1, None, state="running"), interrupted=True)
    assert "interrupted after 1 finished trials" in text
    assert "--resume" in text


def test_events_reach_the_live_table(show):
    file = io.StringIO()
    with watching(show.document, Console(file=file, width=120)) as watcher:
        assert isinstance(watcher, Watcher)
        watcher.event(TrialEvent(4, "u", "running", 0, 2, settings={"trial.loss": "1_arcface"}))
        watcher.event(TrialEvent(9, "u", "running", 0, 2, repeat_of=4))
        watcher.say("a remark")
    assert file.getvalue().splitlines()[:1] == ["trial 4 starts: loss arcface"]
    assert file.getvalue().splitlines()[1].startswith("trial 9 starts: trial 4 again")
