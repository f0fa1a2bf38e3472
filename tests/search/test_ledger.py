"""The ledger over a real study, with workers that are functions and the registry in memory."""

from functools import partial

import pytest

from tests.search import ledger_run
from vgsearch.config.document import load_document
from vgsearch.registry.memory_registry import MemoryRegistry
from vgsearch.search.budget import Budget
from vgsearch.search.events import nobody
from vgsearch.search.ledger import Ledger
from vgsearch.search.memory import Holding
from vgsearch.search.messages import WorkerMessage
from vgsearch.search.study import REPEAT_OF, STATE, WALL_S

FINALISTS = "search.finalists={top: 2, seeds: 2}"


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


def test_a_spent_budget_cuts_repeats_that_a_larger_one_trains_again(search):
    # Three trials of three epochs cost 0.045 GPU-hours: the budget ends within the first repeat.
    few = ("search.num_trials=3", "search.scheduler.name=none", FINALISTS)
    cut, _, _ = search(*few, "search.budget.gpu_hours=0.052")
    repeats = [trial for trial in cut if REPEAT_OF in trial.user_attrs]
    assert states(repeats) == ["stopped"]
    longer, _, champion = search(*few, "search.budget.gpu_hours=1")
    full = [t for t in longer if REPEAT_OF in t.user_attrs and t.user_attrs[STATE] == "complete"]
    assert len({(t.user_attrs[REPEAT_OF], t.user_attrs["vgsearch.seed"]) for t in full}) == 4
    means = {
        number: sum(t.value for t in full if t.user_attrs[REPEAT_OF] == number) / 2
        for number in {t.user_attrs[REPEAT_OF] for t in full}
    }
    assert champion.user_attrs.get(REPEAT_OF, champion.number) == max(means, key=means.get)


def test_an_untold_trial_of_a_spent_budget_ends_without_training(search):
    def die(event):
        if event.number == 2:
            raise KeyboardInterrupt

    budget = "search.budget.gpu_hours=0.03"  # two trials of three epochs
    with pytest.raises(KeyboardInterrupt):
        search("search.num_trials=4", "search.scheduler.name=none", watch=die)
    trials, registry, _ = search("search.num_trials=4", "search.scheduler.name=none", budget)
    assert states(trials) == ["complete", "complete", "stopped"]
    assert not trials[2].intermediate_values
    assert [record.state for record in registry.trials("quick")] == states(trials)


def test_the_value_that_is_told_is_the_best_of_those_that_were_judged(search, monkeypatch):
    def die(event):
        if event.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search("search.num_trials=1", "search.scheduler.name=none", watch=die)
    monkeypatch.setattr(ledger_run, "SALT", "another machine")  # its numbers differ a little
    (trial,), _, _ = search("search.num_trials=1", "search.scheduler.name=none")
    assert trial.value == max(trial.intermediate_values.values())


def test_while_an_extended_search_runs_the_alias_stays_with_the_repeated(search):
    repeated, registry, _ = search("search.num_trials=3", FINALISTS)
    seen = set()

    def look(event):
        if event.repeat_of is not None:
            raise KeyboardInterrupt
        seen.add(registry.champion("quick").uid)

    with pytest.raises(KeyboardInterrupt):
        search("search.num_trials=8", FINALISTS, watch=look)
    families = {t.user_attrs[REPEAT_OF] for t in repeated if REPEAT_OF in t.user_attrs}
    assert seen <= {
        trial.user_attrs["vgsearch.uid"]
        for trial in repeated
        if trial.user_attrs.get(REPEAT_OF, trial.number) in families
    }


def test_the_spent_time_is_kept_between_epochs(space_file, tiny_city, tmp_path, monkeypatch):
    monkeypatch.setattr("vgsearch.search.ledger.KEEP_TIME_EVERY_S", 0.0)
    document = load_document(space_file, (), data_root=tiny_city.parent)
    data = document.resolved_data(tiny_city.parent)
    study = ledger_run.open_study(document, data, tmp_path, resume=False)
    study.set_setting(WALL_S, 3600)
    clock = iter(range(0, 1000, 100))
    monkeypatch.setattr("vgsearch.search.ledger.Budget", partial(Budget, clock=lambda: next(clock)))
    ledger = Ledger(document, data, study, MemoryRegistry(), nobody, holding=Holding())
    ledger.keep_time()
    assert study.setting(WALL_S) == 3700
    study.close()


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


def test_a_search_whose_every_batch_runs_out_of_memory_ends_and_says_so(search, monkeypatch):
    said = []

    def finish(ledger, home):
        while (spec := ledger.next_spec()) is not None:
            if spec.trial.batch_size >= 8 and spec.trial.loss.name == "cosface":
                ledger.receive(WorkerMessage(spec.uid, (), failed="out of GPU memory", out_of_memory=True))
            else:
                real_finish(ledger, home, spec)
        said.append(ledger.cut_short_by)

    def real_finish(ledger, home, spec):
        reports = [ledger_run.report(spec, epoch, home) for epoch in (1, 2, 3)]
        ledger.receive(WorkerMessage(spec.uid, tuple(reports), num_queries=100))

    monkeypatch.setattr(ledger_run, "finish_trials", finish)
    fixed = ("search.num_trials=10", "trial.batch_size=8", "search.scheduler.name=none")
    trials, _, champion = search(*fixed)
    assert "out_of_memory" in states(trials)
    assert len(trials) < 10
    assert "ran out of memory" in said[0]
    assert champion.user_attrs[STATE] == "complete"
    more, _, _ = search(*fixed, gpus=1.0)
    assert len(more) > len(trials), "with a larger share it is worth a try"
