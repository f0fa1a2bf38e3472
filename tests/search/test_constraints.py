import pytest

from vgsearch.config.search import ConstraintsConfig
from vgsearch.config.trial import TrialConfig
from vgsearch.errors import SearchError
from vgsearch.search.constraints import check_repeatable, known_violation, measured_violation
from vgsearch.search.facts import EpochFacts


@pytest.mark.parametrize(("dim", "broken"), [(512, False), (513, True), (64, False)])
def test_the_size_of_a_descriptor_is_known_beforehand(dim, broken):
    reason = known_violation(ConstraintsConfig(descriptor_bytes=2048), TrialConfig(descriptor_dim=dim))
    assert bool(reason) == broken
    if broken:
        assert reason == "a descriptor of 2052 bytes is above search.constraints.descriptor_bytes 2048"


def test_without_a_constraint_nothing_is_broken():
    assert known_violation(ConstraintsConfig(), TrialConfig(descriptor_dim=4096)) == ""
    assert measured_violation(ConstraintsConfig(), EpochFacts(0, query_ms=1e6)) is None


def test_query_time_is_judged_as_measured():
    limit = ConstraintsConfig(query_ms=20)
    assert measured_violation(limit, EpochFacts(0, query_ms=20.0)) is None
    assert measured_violation(limit, EpochFacts(0, query_ms=None)) is None
    broken = measured_violation(limit, EpochFacts(0, query_ms=31.25))
    assert (broken.name, broken.excess) == ("query_ms", 11.25)
    assert broken.reason == "query_ms 31.2 is above the constraint 20"


def test_what_depends_on_the_clock_is_refused_in_a_search_that_must_repeat_itself():
    check_repeatable(ConstraintsConfig(descriptor_bytes=2048), budget_in_time=False)
    with pytest.raises(SearchError, match=r"--deterministic .*search\.constraints\.query_ms depends"):
        check_repeatable(ConstraintsConfig(query_ms=20), budget_in_time=False)
    with pytest.raises(SearchError, match=r"search\.budget depends"):
        check_repeatable(ConstraintsConfig(), budget_in_time=True)
