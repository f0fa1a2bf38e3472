"""Verdicts against Optuna's own pruner, which keeps its rungs in the study as it goes."""

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vgsearch.search.halving import ReportedEpoch, is_stopped, rung_epochs

optuna.logging.set_verbosity(optuna.logging.ERROR)


@pytest.mark.parametrize(
    ("grace", "factor", "epochs", "expected"),
    [(1, 3, 10, [1, 3, 9]), (1, 3, 9, [1, 3]), (2, 2, 9, [2, 4, 8]), (1, 2, 1, []), (5, 3, 3, [])],
)
def test_rungs_grow_by_the_factor_and_leave_the_last_epoch_out(grace, factor, epochs, expected):
    assert rung_epochs(grace, factor, epochs) == expected


def interleaved_search(rng, num_trials, epochs, grace, factor):
    """Run trials in random interleaving; return per judged rung (trial, epoch, ours, optuna's)."""
    pruner = optuna.pruners.SuccessiveHalvingPruner(
        min_resource=grace, reduction_factor=factor, min_early_stopping_rate=0
    )
    study = optuna.create_study(direction="maximize", pruner=pruner)
    trials = [study.ask() for _ in range(num_trials)]
    histories = [{} for _ in trials]
    running = list(range(num_trials))
    judged = []
    arrival = 0
    while running:
        i = int(rng.choice(running))
        epoch = len(histories[i]) + 1
        value = float(rng.integers(0, 6))  # few values, so that ties are common
        trials[i].report(value, step=epoch)
        histories[i][epoch] = ReportedEpoch(value, arrival)
        arrival += 1
        if epoch == epochs:
            running.remove(i)
            continue
        theirs = trials[i].should_prune()
        ours = epoch in rung_epochs(grace, factor, epochs) and is_stopped(
            histories[i], epoch, histories[:i] + histories[i + 1 :], reduction_factor=factor
        )
        judged.append((i, epoch, ours, theirs))
        if theirs:
            running.remove(i)
    return judged, histories


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    num_trials=st.integers(1, 12),
    epochs=st.integers(1, 9),
    grace=st.integers(1, 3),
    factor=st.integers(2, 4),
)
def test_verdicts_agree_with_optunas_pruner(seed, num_trials, epochs, grace, factor):
    judged, _ = interleaved_search(np.random.default_rng(seed), num_trials, epochs, grace, factor)
    for trial, epoch, ours, theirs in judged:
        assert ours == theirs, (trial, epoch)


def test_a_verdict_asked_again_later_is_the_same():
    judged, histories = interleaved_search(np.random.default_rng(3), 12, 9, 1, 3)
    rungs = rung_epochs(1, 3, 9)
    for trial, epoch, ours, _ in judged:
        if epoch in rungs:
            others = histories[:trial] + histories[trial + 1 :]
            assert is_stopped(histories[trial], epoch, others, reduction_factor=3) == ours
