import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgsearch.search.hyperband import bracket_graces, bracket_of, bracket_weights


@given(st.integers(1, 5), st.integers(2, 5), st.integers(1, 400))
def test_graces_are_the_powers_of_the_factor_that_fit(grace, factor, epochs):
    fitting = [grace * factor**k for k in range(12) if grace * factor**k <= epochs]
    assert bracket_graces(grace, factor, epochs) == (fitting or [grace])


@pytest.mark.parametrize(
    ("grace", "factor", "epochs"), [(1, 3, 10), (1, 2, 50), (2, 4, 40), (1, 3, 2), (5, 2, 5)]
)
def test_brackets_and_their_weights_are_optunas(grace, factor, epochs):
    pruner = optuna.pruners.HyperbandPruner(min_resource=grace, max_resource=epochs, reduction_factor=factor)
    pruner._try_initialization(optuna.create_study())
    graces = bracket_graces(grace, factor, epochs)
    assert len(graces) == pruner._n_brackets
    assert bracket_weights(len(graces), factor) == pruner._trial_allocation_budgets


@pytest.mark.parametrize("num_brackets", [1, 2, 3, 5])
def test_after_any_number_of_trials_the_brackets_are_in_proportion(num_brackets):
    weights = bracket_weights(num_brackets, 3)
    counts = [0] * num_brackets
    for number in range(2000):
        counts[bracket_of(number, weights)] += 1
        for count, weight in zip(counts, weights, strict=True):
            assert abs(count - (number + 1) * weight / sum(weights)) < 3


def test_a_small_search_has_trials_in_every_bracket():
    assert [bracket_of(number, [9, 5, 3]) for number in range(6)] == [0, 1, 0, 2, 0, 0]
