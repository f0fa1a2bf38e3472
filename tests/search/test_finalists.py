from statistics import fmean

import numpy as np
import pytest
from optuna.trial import TrialState, create_trial

from vgsearch.config.search import FinalistsConfig
from vgsearch.search.finalists import champion_trial, missing_repeats, standings
from vgsearch.search.study import REPEAT_OF, SEED, STATE, UID

STATES = {
    "complete": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    "infeasible": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


def trial(number, best, state="complete", **attrs):
    stored = create_trial(
        state=STATES[state],
        value=best if state == "complete" else None,
        intermediate_values={1: best - 5, 2: best},
        user_attrs={UID: f"grl-{number:04d}", STATE: state, **attrs},
    )
    stored.number = number
    return stored


def repeat(number, of, seed, best, state="complete"):
    return trial(number, best, state, **{REPEAT_OF: of, SEED: seed})


SEARCHED = [trial(0, 60), trial(1, 70, "infeasible"), trial(2, 64, "stopped"), trial(3, 63), trial(4, 64)]
CONFIG = FinalistsConfig(top=2, seeds=2)


def test_the_best_that_may_be_champion_get_their_missing_seeds():
    seed_of = dict.fromkeys(range(5), 7)
    wanted = missing_repeats(SEARCHED, CONFIG, seed_of)
    assert [(t.user_attrs[REPEAT_OF], t.user_attrs[SEED]) for t in wanted] == [(2, 8), (2, 9), (4, 8), (4, 9)]
    there = [*SEARCHED, repeat(5, 2, 8, 50), repeat(6, 4, 9, 50, "failed")]
    wanted = missing_repeats(there, CONFIG, seed_of)
    assert [(t.user_attrs[REPEAT_OF], t.user_attrs[SEED]) for t in wanted] == [(2, 9), (4, 8)]
    assert missing_repeats(SEARCHED, None, seed_of) == []


def test_the_champion_is_chosen_by_the_mean_over_new_seeds():
    # Trial 2 is the luckiest, trial 4 the better one.
    trials = [
        *SEARCHED,
        repeat(5, 2, 8, 55.0),
        repeat(6, 2, 9, 59.0),
        repeat(7, 4, 8, 62.0),
        repeat(8, 4, 9, 61.0),
    ]
    order = standings(trials, CONFIG)
    assert [finalist.number for finalist in order] == [4, 2]
    assert order[0].searched == 64
    assert order[0].repeats == (62.0, 61.0)
    assert order[0].mean == pytest.approx(fmean([62.0, 61.0]))
    assert order[1].std == pytest.approx(np.std([55.0, 59.0], ddof=1))
    assert champion_trial(trials, CONFIG).number == 4


def test_a_repeat_may_be_the_run_that_is_crowned():
    trials = [*SEARCHED, repeat(5, 2, 8, 66.0), repeat(6, 4, 8, 60.0)]
    assert champion_trial(trials, FinalistsConfig(top=2, seeds=1)).number == 5


def test_repeats_that_failed_do_not_count():
    trials = [*SEARCHED, repeat(5, 2, 8, 20.0, "failed"), repeat(6, 2, 9, 61.0), repeat(7, 4, 8, 60.0)]
    order = standings(trials, CONFIG)
    assert [(each.number, each.repeats) for each in order] == [(2, (61.0,)), (4, (60.0,))]
    assert order[0].std is None


def test_without_a_finished_repeat_the_best_of_the_search_is_champion():
    assert champion_trial(SEARCHED, CONFIG).number == 2
    assert champion_trial(SEARCHED, None).number == 2
    assert champion_trial([trial(0, 50, "failed")], None) is None
