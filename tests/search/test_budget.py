import pytest
from optuna.trial import TrialState, create_trial

from vgsearch.config.search import BudgetConfig
from vgsearch.search.budget import Budget
from vgsearch.search.facts import EPOCH, EpochFacts, gpu_hours


def trial(*epochs):
    return create_trial(
        state=TrialState.RUNNING,
        intermediate_values={n: 1.0 for n, _ in enumerate(epochs, start=1)},
        user_attrs={EPOCH + str(n): facts.to_attribute() for n, facts in enumerate(epochs, start=1)},
    )


def test_gpu_hours_are_those_of_all_epochs_of_all_trials():
    one = trial(EpochFacts(0, seconds=1800, gpus=0.5), EpochFacts(1, seconds=3600, gpus=0.5))
    two = trial(EpochFacts(2, seconds=3600, gpus=2))
    assert gpu_hours([one, two]) == pytest.approx(0.25 + 0.5 + 2.0)


def test_an_epoch_whose_value_was_never_written_costs_nothing():
    cut = trial(EpochFacts(0, seconds=3600, gpus=1))
    cut.set_user_attr(EPOCH + "2", EpochFacts(1, seconds=3600, gpus=1).to_attribute())
    assert gpu_hours([cut]) == pytest.approx(1.0)


def test_wall_time_goes_on_from_earlier_drivers():
    now = 100.0
    budget = Budget(BudgetConfig(wall_hours=2), spent_wall_s=3600, clock=lambda: now)
    assert budget.spent([]) == ""
    now = 100.0 + 3599
    assert budget.spent([]) == ""
    now = 100.0 + 3600
    assert budget.spent([]) == "budget: 2 hours are spent"
    assert budget.wall_s == 7200


def test_gpu_hours_are_a_budget_of_their_own():
    budget = Budget(BudgetConfig(gpu_hours=1), spent_wall_s=0)
    assert budget.spent([trial(EpochFacts(0, seconds=3599, gpus=1))]) == ""
    assert budget.spent([trial(EpochFacts(0, seconds=3600, gpus=1))]) == "budget: 1 GPU-hours are spent"


def test_without_a_budget_nothing_is_ever_spent():
    assert Budget(BudgetConfig(), spent_wall_s=1e9).spent([]) == ""
