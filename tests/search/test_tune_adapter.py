"""What Tune's searcher answers, with a ledger that is a script."""

import pytest
from ray.tune.search import Searcher

from vgsearch.config.search import DataConfig, TrialSpec
from vgsearch.config.trial import TrialConfig
from vgsearch.search.interrupts import Interruption
from vgsearch.search.tune_adapter import Desk, LedgerSearcher


class Script:
    """A ledger that hands out what it is told to."""

    num_running = 0
    is_waiting = False

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def next_spec(self, at_once):
        self.asked.append(at_once)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def spec(uid):
    return TrialSpec(search="s", uid=uid, trial=TrialConfig(), data=DataConfig(train="t", val="v"))


@pytest.fixture
def searcher():
    def make(ledger):
        return LedgerSearcher(Desk(ledger, Interruption(print), lambda: 3))

    return make


def test_a_trial_is_handed_out_with_its_spec(searcher):
    ledger = Script(spec("a"))
    assert searcher(ledger).suggest("1") == {"uid": "a", "spec": spec("a").model_dump_json()}
    assert ledger.asked == [3]


def test_tune_waits_while_trials_wait_for_their_trunk(searcher):
    ledger = Script(None, None)
    asked = searcher(ledger)
    ledger.is_waiting = True
    assert asked.suggest("1") is None
    ledger.is_waiting = False
    assert asked.suggest("1") == Searcher.FINISHED


def test_nobody_is_asked_while_all_places_are_taken(searcher):
    ledger = Script()
    ledger.num_running = 3
    assert searcher(ledger).suggest("1") is None


def test_an_error_ends_the_search_although_trials_wait(searcher):
    ledger = Script(ValueError("broken"))
    ledger.is_waiting = True
    asked = searcher(ledger)
    assert asked.suggest("1") == Searcher.FINISHED
    assert isinstance(asked.desk.fatal, ValueError)
    assert asked.suggest("2") == Searcher.FINISHED
