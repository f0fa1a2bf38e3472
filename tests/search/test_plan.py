import pytest
from optuna.trial import TrialState, create_trial

from vgsearch.errors import SearchError
from vgsearch.search.plan import end_of_search, planned_trials
from vgsearch.search.study import ENDED, FILE_TRIALS, NUM_TRIALS, REPEAT_OF, SEED, Study


@pytest.fixture
def make_study(tmp_path):
    """A search of which some of the planned trials were begun, and perhaps repeats of them."""

    def make(begun, planned, *, in_file=8, repeats=0, ended=None, cut_short_by=""):
        settings = {NUM_TRIALS: planned, FILE_TRIALS: in_file}
        if ended is not None:
            settings[ENDED] = end_of_search(ended, cut_short_by)
        study = Study.create(tmp_path, "grl", {}, settings)
        for _ in range(begun):
            study.add_running(create_trial(state=TrialState.RUNNING))
        for seed in range(repeats):
            study.add_running(create_trial(state=TrialState.RUNNING, user_attrs={REPEAT_OF: 0, SEED: seed}))
        for trial in study.trials() if ended == planned else ():
            study.tell(trial.number, TrialState.FAIL, None)
        study.close()
        return tmp_path

    return make


def test_a_new_search_has_what_its_file_says_or_the_total_that_is_asked_for(tmp_path):
    assert planned_trials(tmp_path, "grl", 32, None, resume=False) == 32
    assert planned_trials(tmp_path, "grl", 32, "8", resume=False) == 8
    with pytest.raises(SearchError, match="add --resume"):
        planned_trials(tmp_path, "grl", 32, "+8", resume=False)


def test_a_finished_search_is_extended_by_more(make_study):
    home = make_study(8, 8, repeats=3, ended=8)
    assert planned_trials(home, "grl", 8, "+20", resume=True) == 28
    assert planned_trials(home, "grl", 8, "48", resume=True) == 48


def test_a_resume_keeps_what_an_earlier_extension_planned(make_study):
    home = make_study(8, 28)
    assert planned_trials(home, "grl", 8, None, resume=True) == 28
    assert planned_trials(home, "grl", 40, None, resume=True) == 40


def test_a_total_below_the_file_s_number_is_kept_until_that_number_changes(make_study):
    home = make_study(3, 8, in_file=32)
    assert planned_trials(home, "grl", 32, None, resume=True) == 8
    assert planned_trials(home, "grl", 40, None, resume=True) == 40


def test_the_same_extension_again_after_a_kill_does_not_add_twice(make_study):
    home = make_study(12, 28, ended=8)
    with pytest.raises(SearchError, match=r"16 of its 28 trials to begin.*--resume alone.*--trials 48"):
        planned_trials(home, "grl", 8, "+20", resume=True)


def test_a_search_killed_in_its_last_trials_or_repeats_is_not_extended_twice(make_study):
    home = make_study(28, 28, repeats=2, ended=8)
    with pytest.raises(SearchError, match=r"not at its end.*--resume alone.*--trials 48"):
        planned_trials(home, "grl", 8, "+20", resume=True)


def test_more_trials_of_a_search_with_a_spent_budget_are_refused_by_its_name(make_study):
    home = make_study(5, 8, ended=8, cut_short_by="budget: 2 hours are spent")
    with pytest.raises(SearchError, match=r"5 of its 8 trials \(budget: 2 hours are spent\).*raise"):
        planned_trials(home, "grl", 8, "+20", resume=True)


def test_trials_that_were_begun_are_not_taken_back(make_study):
    home = make_study(8, 8)
    assert planned_trials(home, "grl", 8, "4", resume=True) == 8


@pytest.mark.parametrize("asked", ["", "+", "0", "+0", "-3", "many", "1.5"])
def test_other_texts_are_refused(tmp_path, asked):
    with pytest.raises(SearchError, match="takes a total or"):
        planned_trials(tmp_path, "grl", 8, asked, resume=False)
