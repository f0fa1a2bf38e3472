import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgsearch.search.halving import ReportedEpoch
from vgsearch.search.patience import epochs_without_gain

optuna.logging.set_verbosity(optuna.logging.ERROR)

VALUES = st.lists(st.integers(0, 6), min_size=1, max_size=12)


def reports(values):
    return {epoch: ReportedEpoch(value, epoch) for epoch, value in enumerate(values, start=1)}


@given(VALUES)
def test_without_a_least_gain_it_is_the_distance_to_the_first_best_epoch(values):
    for epoch in range(1, len(values) + 1):
        best_epoch = int(np.argmax(values[:epoch])) + 1
        assert epochs_without_gain(reports(values), epoch, min_gain=0.0) == epoch - best_epoch


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@given(VALUES, st.integers(1, 5))
def test_the_verdict_is_optunas_where_no_epoch_equals_another(values, patience):
    """Optuna's PatientPruner waits one epoch longer than its `patience`, and takes a tie for a gain."""
    values = [value + i / 100 for i, value in enumerate(values)]  # no ties
    pruner = optuna.pruners.PatientPruner(None, patience=patience - 1)
    study = optuna.create_study(direction="maximize", pruner=pruner)
    trial = study.ask()
    for epoch, value in enumerate(values, start=1):
        trial.report(value, step=epoch)
        ours = epochs_without_gain(reports(values), epoch, min_gain=0.0) >= patience
        assert ours == trial.should_prune()


@pytest.mark.parametrize(
    ("values", "min_gain", "waited"),
    [
        ([50, 50.5, 51, 51.5], 1.0, 1),  # two half steps are a gain
        ([50, 50.9, 50.9, 50.9], 1.0, 3),
        ([50, 51, 51.5], 1.0, 1),
        ([50, 40, 45, 49], 0.0, 3),  # it recovers, and is not above its best
        ([50, 50, 50], 0.0, 2),  # equal is no gain
    ],
)
def test_a_gain_is_counted_from_the_last_one(values, min_gain, waited):
    assert epochs_without_gain(reports(values), len(values), min_gain=min_gain) == waited


def test_later_epochs_are_not_looked_at():
    history = reports([5, 4, 9])
    assert epochs_without_gain(history, 2, min_gain=0.0) == 1
