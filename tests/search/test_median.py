"""The rule against Optuna's pruner, on searches whose other trials are complete, as Optuna demands."""

import numpy as np
import optuna
from hypothesis import given, settings
from hypothesis import strategies as st

from vgsearch.search.halving import ReportedEpoch
from vgsearch.search.median import is_below_median

optuna.logging.set_verbosity(optuna.logging.ERROR)


def reports(values, arrival=0):
    return {epoch: ReportedEpoch(value, arrival + epoch) for epoch, value in enumerate(values, start=1)}


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    num_others=st.integers(0, 9),
    epochs=st.integers(1, 6),
    grace=st.integers(1, 3),
    n_startup=st.integers(1, 5),
)
def test_verdicts_agree_with_optunas_pruner(seed, num_others, epochs, grace, n_startup):
    rng = np.random.default_rng(seed)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=0, n_warmup_steps=grace, n_min_trials=n_startup)
    study = optuna.create_study(direction="maximize", pruner=pruner)
    others = []
    for _ in range(num_others):
        values = rng.integers(0, 6, size=rng.integers(1, epochs + 1)).astype(float).tolist()
        trial = study.ask()
        for epoch, value in enumerate(values, start=1):
            trial.report(value, step=epoch)
        study.tell(trial, max(values))
        others.append(reports(values))
    trial = study.ask()
    values = rng.integers(0, 6, size=epochs).astype(float).tolist()
    for epoch, value in enumerate(values, start=1):
        trial.report(value, step=epoch)
        history = reports(values, arrival=100)  # its later reports are there, and must not be looked at
        ours = epoch >= grace and is_below_median(history, epoch, others, n_startup=n_startup)
        assert ours == trial.should_prune(), epoch


def test_the_best_so_far_is_what_counts():
    others = [reports([5, 5]), reports([5, 5])]
    assert not is_below_median(reports([6, 1], 100), 2, others, n_startup=1)
    assert is_below_median(reports([4, 1], 100), 2, others, n_startup=1)


def test_a_value_at_the_median_goes_on():
    assert not is_below_median(reports([5], 100), 1, [reports([5]), reports([5])], n_startup=1)


def test_what_arrives_later_does_not_count():
    judged = {1: ReportedEpoch(0.0, arrival=5)}
    late = [{1: ReportedEpoch(9.0, arrival)} for arrival in (6, 7)]
    early = [{1: ReportedEpoch(9.0, arrival)} for arrival in (3, 4)]
    assert not is_below_median(judged, 1, late, n_startup=1)
    assert is_below_median(judged, 1, early + late, n_startup=2)
    assert not is_below_median(judged, 1, early + late, n_startup=3)
