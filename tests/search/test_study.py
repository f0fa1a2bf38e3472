import multiprocessing
import pickle

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from vgsearch.errors import SearchError
from vgsearch.search.facts import EPOCH, EpochFacts, epoch_facts, history, next_arrival
from vgsearch.search.study import PROVENANCE, Study, journal_path, read_trials


def proposal(value: float = 0.5) -> optuna.trial.FrozenTrial:
    return create_trial(
        state=TrialState.RUNNING,
        params={"trial.lr": value},
        distributions={"trial.lr": optuna.distributions.FloatDistribution(0, 1)},
    )


@pytest.fixture
def study(tmp_path):
    study = Study.create(tmp_path, "grl", {"trial": 1})
    yield study
    study.close()


def test_a_running_trial_keeps_its_parameters_and_epochs_over_a_reopening(tmp_path, study):
    stored = study.add_running(proposal(0.25))
    study.report(stored.number, 1, 40.0, EpochFacts(0, seconds=2.5))
    study.close()

    again = Study.resume(tmp_path, "grl")
    trial = again.trials()[0]
    assert trial.state == TrialState.RUNNING
    assert trial.params == {"trial.lr": 0.25}
    again.report(0, 1, 99.0, EpochFacts(1))
    again.report(0, 2, 41.0, EpochFacts(1))
    again.tell(0, TrialState.COMPLETE, 41.0)
    again.close()

    trial = read_trials(tmp_path, "grl")[0]
    assert trial.state == TrialState.COMPLETE
    assert trial.intermediate_values == {1: 40.0, 2: 41.0}
    assert epoch_facts(trial) == {1: EpochFacts(0, seconds=2.5), 2: EpochFacts(1)}
    assert again.identity == {"trial": 1}


def test_arrivals_number_the_reports_of_all_trials_in_order(study):
    for _ in range(2):
        study.add_running(proposal())
    for number, epoch in [(0, 1), (1, 1), (1, 2), (0, 2)]:
        study.report(number, epoch, 1.0, EpochFacts(next_arrival(study.trials())))
    first, second = (history(trial) for trial in study.trials())
    assert {epoch: report.arrival for epoch, report in first.items()} == {1: 0, 2: 3}
    assert {epoch: report.arrival for epoch, report in second.items()} == {1: 1, 2: 2}


def test_an_epoch_whose_value_was_never_written_has_not_arrived(study):
    study.add_running(proposal())
    study.note(0, EPOCH + "1", EpochFacts(0).to_attribute())
    assert history(study.trials()[0]) == {}
    assert next_arrival(study.trials()) == 0


def test_settings_are_kept_and_may_change(tmp_path):
    study = Study.create(tmp_path, "set", {"trial": 1}, {"vgsearch.num_trials": 8})
    study.set_setting("vgsearch.num_trials", 28)
    study.close()
    again = Study.resume(tmp_path, "set")
    assert again.setting("vgsearch.num_trials") == 28
    assert again.setting("vgsearch.unknown", "none") == "none"
    again.close()


def test_a_violated_constraint_is_there_for_samplers_to_learn(study):
    study.add_running(proposal())
    study.violate(0, "query_ms", 11.0)
    study.violate(0, "query_ms", 99.0)
    study.tell(0, TrialState.PRUNED, None)
    assert study.trials()[0].constraints == {"query_ms": 11.0}


@pytest.mark.parametrize("cut", [1, 7, 30])
def test_a_torn_last_line_is_cut_away_and_the_journal_goes_on(tmp_path, study, cut):
    study.add_running(proposal(0.1))
    study.add_running(proposal(0.2))
    study.close()
    path = journal_path(tmp_path, "grl")
    path.write_bytes(path.read_bytes()[:-cut])

    again = Study.resume(tmp_path, "grl")
    assert [trial.params["trial.lr"] for trial in again.trials()] == [0.1]
    again.add_running(proposal(0.3))
    again.close()
    assert [trial.params["trial.lr"] for trial in read_trials(tmp_path, "grl")] == [0.1, 0.3]


def test_a_search_that_exists_is_not_started_again(tmp_path, study):
    study.add_running(proposal())
    study.close()
    with pytest.raises(SearchError, match="already exists .* --resume"):
        Study.create(tmp_path, "grl", {})


def test_a_search_without_a_trial_starts_anew(tmp_path, study):
    study.close()
    again = Study.create(tmp_path, "grl", {"trial": 2})
    assert again.identity == {"trial": 2}
    again.close()


def test_a_search_that_does_not_exist_is_not_resumed(tmp_path):
    with pytest.raises(SearchError, match="no search 'none' to resume"):
        Study.resume(tmp_path, "none")


def _open_elsewhere(home, queue):
    try:
        Study.resume(home, "grl")
    except SearchError as error:
        queue.put(str(error))


def test_a_second_driver_is_refused_while_the_first_lives(tmp_path, study):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_open_elsewhere, args=(tmp_path, queue))
    process.start()
    assert "running in another process" in queue.get(timeout=60)
    process.join()


def test_a_trial_that_has_ended_is_not_told_again(study):
    study.add_running(proposal())
    study.report(0, 1, 5.0, EpochFacts(0))
    study.tell(0, TrialState.COMPLETE, 5.0)
    study.tell(0, TrialState.FAIL, None)
    assert study.trials()[0].state == TrialState.COMPLETE


def test_uids_carry_the_number_and_survive_a_resume(tmp_path, study):
    uid = study.uid(3)
    study.close()
    again = Study.resume(tmp_path, "grl")
    assert again.uid(3) == uid
    assert uid.startswith("grl-")
    assert uid.endswith("-0003")
    again.close()


def test_trials_pickle_for_the_samplers_copy(study):
    study.add_running(proposal())
    assert pickle.loads(pickle.dumps(study.trials()))[0].params == {"trial.lr": 0.5}


def test_a_search_that_ended_before_its_first_trial_leaves_nothing_to_the_next(tmp_path):
    Study.create(tmp_path, "grl", {"trial": 1}, {PROVENANCE: {"commit": "old"}}).close()
    again = Study.create(tmp_path, "grl", {"trial": 2})
    assert again.identity == {"trial": 2}
    assert again.setting(PROVENANCE) is None
    again.close()
