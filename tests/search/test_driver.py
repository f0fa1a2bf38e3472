"""A real search in this process: Ray workers, an Optuna journal, JPEGs on disk; the registry in memory."""

import pytest
from optuna.trial import TrialState

from vgsearch.errors import ResourceError, SearchError
from vgsearch.registry.memory_registry import MemoryRegistry
from vgsearch.registry.scored_tests import Looks
from vgsearch.search.driver import run_search
from vgsearch.search.study import read_trials


@pytest.mark.slow
def test_a_search_from_start_to_champion_and_on(load, tmp_path):
    document, data = load()
    registry = MemoryRegistry()
    events = []
    outcome = run_search(document, data, tmp_path, registry, watch=events.append)

    trials = read_trials(tmp_path, "quick")
    assert [trial.number for trial in trials] == [0, 1, 2]
    assert all(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in trials)
    for trial in trials:
        recorded = registry.trials("quick")[trial.number]
        told = {epoch: metrics["val/recall_at_1"] for epoch, metrics in recorded.history.items() if epoch}
        assert told == trial.intermediate_values
        assert recorded.state == {"COMPLETE": "complete", "PRUNED": "stopped"}[trial.state.name]
        if trial.state == TrialState.COMPLETE:
            assert trial.value == max(trial.intermediate_values.values())
            assert len(trial.intermediate_values) == 3

    # The champion is the best by brute force over everything reported, the earliest of equals.
    best = max(trials, key=lambda trial: (max(trial.intermediate_values.values()), -trial.number))
    champion = registry.champion("quick")
    assert champion.uid == best.user_attrs["vgsearch.uid"] == outcome.trials[0].uid
    assert outcome.trials[0].best == max(best.intermediate_values.values())
    assert set(outcome.tests) == {"day"}
    assert outcome.untrained[""].num_queries == outcome.trials[0].results[""].num_queries
    # The tests were scored once, and that is counted; their results belong to the champion's weights alone.
    assert outcome.test_looks == registry.test_scorings("quick") == {"day": Looks(1, 1)}
    (scoring,) = registry.scored_tests("quick")
    assert scoring.stamp == outcome.tests["day"].stamp
    assert registry.recorded_tests(champion, scoring.model) == {"day": outcome.tests["day"].to_npz_bytes()}
    finished = [event for event in events if event.state in ("complete", "stopped")]
    assert sorted(event.number for event in finished) == [0, 1, 2]

    # The same search again is refused; with --resume and more trials it goes on.
    with pytest.raises(SearchError, match="already exists"):
        run_search(document, data, tmp_path, registry)
    longer, _ = load("search.num_trials=4")
    again = run_search(longer, data, tmp_path, registry, resume=True)
    assert [trial.number for trial in read_trials(tmp_path, "quick")] == [0, 1, 2, 3]
    assert len(again.trials) == 4
    num_champions = 1 if registry.champion("quick") == champion else 2
    assert again.test_looks == {"day": Looks(num_champions, num_champions)}
    assert run_search(longer, data, tmp_path, registry, resume=True).test_looks == again.test_looks
    assert [trial.uid for trial in registry.trials("quick")][:3] == [
        trial.user_attrs["vgsearch.uid"] for trial in trials
    ]

    changed, _ = load("trial.descriptor_dim=32")
    with pytest.raises(SearchError, match=r"descriptor_dim.*16.*32"):
        run_search(changed, data, tmp_path, registry, resume=True)


def test_a_demand_that_no_node_can_meet_ends_at_once(load, tmp_path):
    document, data = load("resources.cpus_per_trial=4096")
    with pytest.raises(ResourceError, match="4096 CPUs"):
        run_search(document, data, tmp_path, MemoryRegistry())
