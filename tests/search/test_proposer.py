"""What is proposed next, and when nothing is."""

import pytest
from optuna.trial import TrialState, create_trial

from vgsearch.errors import SearchError
from vgsearch.search.memory import Holding
from vgsearch.search.proposer import Proposer
from vgsearch.search.study import HELD, STATE

GRID = (
    "search.sampler={name: grid, grid_points: 2}",
    "trial.loss={name: cosface, scale: !choice [30, 40]}",
    "trial.lr=!choice [1.0e-4, 1.0e-3]",
)


def ended(proposal, state="complete", **attrs):
    """The proposal as a trial that has ended."""
    is_complete = state == "complete"
    return create_trial(
        state=TrialState.COMPLETE if is_complete else TrialState.FAIL,
        value=50.0 if is_complete else None,
        params=proposal.params,
        distributions=proposal.distributions,
        user_attrs={STATE: state, **attrs},
    )


def walk(proposer):
    """All proposals of a search in which every trial ends at once."""
    own = []
    while (proposal := proposer.next(own)) is not None:
        own.append(ended(proposal))
    return own


def test_a_warm_started_grid_still_walks_through_all_of_its_points(load):
    document, _ = load(*GRID)
    alone = walk(Proposer(document, [], Holding()))
    assert len({frozenset(trial.params.items()) for trial in alone}) == 4
    warm = walk(Proposer(document, alone[:2], Holding()))
    assert [trial.params for trial in warm] == [trial.params for trial in alone]


def test_no_more_trials_are_announced_than_a_grid_has_left(load):
    document, _ = load(*GRID)
    proposer = Proposer(document, [], Holding())
    own = walk(Proposer(document, [], Holding()))
    assert [proposer.most_left(own[:begun], planned=10) for begun in range(5)] == [4, 3, 2, 1, 0]
    assert proposer.most_left(own[:1], planned=3) == 2


def test_a_space_of_which_nothing_can_run_is_the_user_s_error_before_the_first_trial(load):
    document, _ = load("search.constraints.descriptor_bytes=32")
    with pytest.raises(SearchError, match=r"search.constraints.descriptor_bytes 32"):
        Proposer(document, [], Holding()).next([])


def test_where_all_would_run_out_of_memory_proposing_ends_in_words(load):
    document, _ = load()
    proposer = Proposer(document, [], Holding(gpus=0.5))
    first = proposer.next([])
    ran_out = ended(first, "out_of_memory", **{HELD: Holding(gpus=0.5).to_attribute()})
    assert proposer.next([ran_out]) is None
    assert "ran out of memory" in proposer.exhausted
    assert proposer.most_left([ran_out], planned=10) == 0
    assert Proposer(document, [], Holding(gpus=1)).next([ran_out]) is not None


def test_an_end_that_was_noted_but_not_told_does_not_count(load):
    document, _ = load()
    proposer = Proposer(document, [], Holding())
    noted = proposer.next([])
    noted.set_user_attr(STATE, "out_of_memory")
    noted.set_user_attr(HELD, Holding().to_attribute())
    assert proposer.next([noted]) is not None
