"""The ledger over a real study, with workers that are functions and the registry in memory."""

import pytest

from tests.search import ledger_run
from tests.search.ledger_run import run
from vgsearch.registry.memory_registry import MemoryRegistry
from vgsearch.search.messages import WorkerMessage
from vgsearch.search.study import REPEAT_OF, STATE, read_trials

FINALISTS = "search.finalists={top: 2, seeds: 2}"


@pytest.fixture
def search(space_file, tiny_city, tmp_path):
    """Run or resume the quick search with `--set`s; gives its trials and its registry."""
    registries = {}

    def go(*overrides, home="runs"):
        registry = registries.setdefault(home, MemoryRegistry())
        _, champion = run(space_file, tiny_city.parent, tmp_path / home, overrides, registry)
        return read_trials(tmp_path / home, "quick"), registry, champion

    return go


def states(trials):
    return [trial.user_attrs.get(STATE) for trial in trials]


def suggestions(trials):
    return [
        (trial.params, trial.intermediate_values) for trial in trials if REPEAT_OF not in trial.user_attrs
    ]


def test_an_extended_search_is_the_one_that_was_longer_from_the_start(search):
    search("search.num_trials=3")
    extended, _, _ = search("search.num_trials=6")
    at_once, _, _ = search("search.num_trials=6", home="other")
    assert suggestions(extended) == suggestions(at_once)


def test_repeats_of_finalists_change_nothing_in_the_search_that_goes_on(search):
    repeated, _, _ = search("search.num_trials=3", FINALISTS)
    assert sum(REPEAT_OF in trial.user_attrs for trial in repeated) == 4
    extended, registry, champion = search("search.num_trials=6", FINALISTS)
    at_once, _, _ = search("search.num_trials=6", home="other")
    assert suggestions(extended) == suggestions(at_once)
    repeats = [
        (t.user_attrs[REPEAT_OF], t.user_attrs["vgsearch.seed"])
        for t in extended
        if REPEAT_OF in t.user_attrs
    ]
    assert len(set(repeats)) == len(repeats), "a repeat that is there is kept, not done again"
    assert registry.champion("quick").uid == champion.user_attrs["vgsearch.uid"]


def test_repeats_train_to_their_end_whatever_the_stopping_rule_says(search):
    trials, _, _ = search("search.num_trials=5", FINALISTS)
    repeats = [trial for trial in trials if REPEAT_OF in trial.user_attrs]
    assert states(repeats) == ["complete"] * 4
    assert all(len(trial.intermediate_values) == 3 for trial in repeats)


def test_a_spent_budget_stops_trials_and_a_larger_one_goes_on(search):
    # Each epoch takes 36 s on half a GPU: 200 epochs an hour of one GPU.
    stopped, _, champion = search(
        "search.num_trials=8", "search.budget.gpu_hours=0.02", "search.scheduler.name=none"
    )
    assert sum(len(trial.intermediate_values) for trial in stopped) == 4
    assert states(stopped) == ["complete", "stopped"]
    assert stopped[-1].user_attrs["vgsearch.reason"] == "budget: 0.02 GPU-hours are spent"
    assert champion is not None
    longer, _, _ = search("search.num_trials=8", "search.budget.gpu_hours=1", "search.scheduler.name=none")
    assert states(longer) == ["complete", "stopped", *["complete"] * 6]


def test_an_infeasible_trial_is_never_champion(search):
    trials, registry, champion = search("search.num_trials=6", "search.constraints.query_ms=50")
    broken = [trial for trial in trials if trial.user_attrs[STATE] == "infeasible"]
    assert broken
    assert all(trial.constraints == {"query_ms": 40.0} for trial in broken)
    assert all(len(trial.intermediate_values) == 1 for trial in broken)
    allowed = [max(t.intermediate_values.values()) for t in trials if t not in broken]
    assert max(champion.intermediate_values.values()) == max(allowed)
    assert "infeasible" in {record.state for record in registry.trials("quick")}


def test_a_descriptor_that_is_too_large_is_never_trained(search):
    trials, _, _ = search(
        "search.num_trials=8",
        "trial.descriptor_dim=!choice [16, 64, 512]",
        "search.constraints.descriptor_bytes=256",
    )
    assert {trial.params["trial.descriptor_dim"] for trial in trials} == {16, 64}


def test_a_batch_that_ran_out_of_memory_is_not_tried_again(search, monkeypatch):
    def run_out(spec, epoch, home):
        if spec.trial.batch_size >= 8:
            raise MemoryError
        return real(spec, epoch, home)

    def finish(ledger, home):
        while (spec := ledger.next_spec()) is not None:
            try:
                reports = [run_out(spec, epoch, home) for epoch in (1, 2, 3)]
            except MemoryError:
                told = WorkerMessage(spec.uid, (), failed="out of GPU memory", out_of_memory=True)
                ledger.receive(told)
                continue
            ledger.receive(WorkerMessage(spec.uid, tuple(reports), num_queries=100))

    real = ledger_run.report
    monkeypatch.setattr(ledger_run, "finish_trials", finish)
    trials, _, _ = search("search.num_trials=10", "trial.batch_size=!choice [4, 8, 16]")
    sizes = [
        trial.params["trial.batch_size"] for trial in trials if trial.user_attrs[STATE] == "out_of_memory"
    ]
    assert sizes, "some trial was too large"
    assert sizes == sorted(set(sizes), reverse=True), "each next one was smaller than what ran out before"
    assert all(t.params["trial.batch_size"] == 4 for t in trials if t.user_attrs[STATE] == "complete")
