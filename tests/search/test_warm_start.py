"""An earlier search's trials in a new search's space: the same configuration or none at all."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.search.ledger_run import run
from vgsearch.config.distributions import Categorical
from vgsearch.config.document import load_document
from vgsearch.config.trial import TrialConfig
from vgsearch.errors import SearchError
from vgsearch.registry.memory_registry import MemoryRegistry
from vgsearch.search.opening import search_identity
from vgsearch.search.study import Study, read_trials
from vgsearch.search.warm_start import params_of, read_warm_start, warm_trials


@pytest.fixture
def old_home(space_file, tiny_city, tmp_path):
    """A finished search of three trials."""
    run(space_file, tiny_city.parent, tmp_path / "runs", registry=MemoryRegistry())
    return tmp_path / "runs"


@pytest.fixture
def warm(space_file, tiny_city, old_home):
    def start(*overrides):
        document = load_document(space_file, ["name=new", *overrides], data_root=tiny_city.parent)
        data = document.resolved_data(tiny_city.parent)
        return document, read_warm_start(old_home, "quick", document, search_identity(document, data))

    return start


def test_the_same_space_takes_every_trial(old_home, warm):
    document, found = warm()
    old = read_trials(old_home, "quick")
    assert [dict(trial.params) for trial in found.trials] == [trial.params for trial in old]
    assert [trial.value for trial in found.trials] == [max(t.intermediate_values.values()) for t in old]
    assert found.sentences() == ["3 of 3 trials of search 'quick' are known to the sampler"]


def test_wider_ranges_and_more_options_keep_what_overlaps(old_home, warm):
    document, found = warm("trial.lr=!loguniform [1.0e-4, 1.0e-3]")
    inside = [trial for trial in read_trials(old_home, "quick") if trial.params["trial.lr"] <= 1.0e-3]
    assert len(found.trials) == len(inside)
    assert sum(found.unused.values()) == 3 - len(inside)
    assert set(found.unused) == {"trial.lr is outside !loguniform [0.0001, 0.001]"}


def test_another_fixed_value_is_another_trial_and_is_said(warm):
    document, found = warm("trial.epochs=5")
    assert found.trials == ()
    assert found.sentences()[1:] == ["3 not used: trial.epochs is 3 there and 5 here"]


def test_a_default_that_is_not_written_there_is_compared_all_the_same(warm):
    document, found = warm("trial.augment={hflip: 0.5}")
    assert found.trials == ()


def test_recalls_of_other_data_are_refused(warm):
    with pytest.raises(SearchError, match=r"not comparable: data\.positive_distance_m is 25\.0 there and 10"):
        warm("data.positive_distance_m=10")


def test_what_was_read_survives_the_journal(warm, tmp_path):
    document, found = warm()
    study = Study.create(tmp_path / "new", "new", {}, {"vgsearch.warm_start": found.to_attribute()})
    trials = warm_trials(study, document.space)
    study.close()
    assert [trial.params for trial in trials] == [dict(trial.params) for trial in found.trials]
    assert [trial.intermediate_values for trial in trials] == [dict(t.intermediate) for t in found.trials]
    assert [trial.state.name == "COMPLETE" for trial in trials] == [t.is_complete for t in found.trials]
    json.dumps(found.to_attribute())


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_draw_is_found_again_from_the_configuration_that_it_decides(data):
    from tests.search.spaces import WIDE

    drawn = {}

    def suggest(name, distribution):
        if isinstance(distribution, Categorical):
            drawn[name] = data.draw(st.sampled_from(distribution.labels))
        else:
            drawn[name] = data.draw(st.floats(distribution.low, distribution.high))
        return drawn[name]

    decided = TrialConfig.model_validate(WIDE.propose(suggest))
    assert params_of(WIDE, decided.model_dump(mode="json")) == drawn
