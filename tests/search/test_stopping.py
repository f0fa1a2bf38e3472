"""All rules through their one question: against Optuna, plain loops, and asked again later."""

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vgsearch.config.search import SchedulerConfig
from vgsearch.search.halving import ReportedEpoch
from vgsearch.search.hyperband import bracket_graces, bracket_of, bracket_weights
from vgsearch.search.stopping import JudgedTrial, stop_reason, stops_nobody

optuna.logging.set_verbosity(optuna.logging.ERROR)

SCHEDULERS = st.builds(
    SchedulerConfig,
    name=st.sampled_from(["asha", "hyperband", "median", "none"]),
    grace_epochs=st.integers(1, 4),
    reduction_factor=st.integers(2, 4),
    n_startup=st.integers(1, 4),
    patience_epochs=st.none() | st.integers(1, 4),
    min_gain=st.sampled_from([0.0, 1.0]),
)


def run_search(scheduler, seed, num_trials, epochs, on_report=lambda i, epoch, value: None):
    """Run trials in random interleaving, each until its rule stops it.

    Returns every verdict as (trial, epoch, reason), and the reports of all.
    """
    rng = np.random.default_rng(seed)
    trials = [JudgedTrial(number, {}) for number in range(num_trials)]
    running = list(range(num_trials))
    verdicts = []
    for arrival in range(num_trials * epochs):
        if not running:
            break
        i = int(rng.choice(running))
        epoch = len(trials[i].history) + 1
        value = float(rng.integers(0, 8))  # few values, so that ties are common
        trials[i].history[epoch] = ReportedEpoch(value, arrival)
        reason = stop_reason(scheduler, trials[i], epoch, epochs, trials[:i] + trials[i + 1 :])
        verdicts.append((i, epoch, reason))
        on_report(i, epoch, value)
        if reason or epoch == epochs:
            running.remove(i)
    return verdicts, trials


@settings(max_examples=150, deadline=None)
@given(SCHEDULERS, st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 9))
def test_a_verdict_asked_again_when_all_is_reported_is_the_same(scheduler, seed, num_trials, epochs):
    verdicts, trials = run_search(scheduler, seed, num_trials, epochs)
    rng = np.random.default_rng(seed)
    for i, epoch, reason in verdicts:
        others = [trials[j] for j in rng.permutation(num_trials) if j != i]
        assert stop_reason(scheduler, trials[i], epoch, epochs, others) == reason


def plain_verdict(scheduler, trials, i, epoch, epochs):
    """The rules once more, by loops over everything reported up to this report."""
    now = trials[i].history[epoch].arrival
    mine = [trials[i].history[e].value for e in range(1, epoch + 1)]
    if epoch == epochs:
        return False
    factor, grace = scheduler.reduction_factor, scheduler.grace_epochs
    rivals = list(range(len(trials)))
    if scheduler.name == "hyperband":
        graces = bracket_graces(grace, factor, epochs)
        brackets = [bracket_of(j, bracket_weights(len(graces), factor)) for j in rivals]
        grace = graces[brackets[i]]
        rivals = [j for j in rivals if brackets[j] == brackets[i]]
    at_epoch = [
        trials[j].history[epoch].value
        for j in rivals
        if j != i and epoch in trials[j].history and trials[j].history[epoch].arrival < now
    ]
    if scheduler.name in ("asha", "hyperband"):
        is_rung = any(epoch == grace * factor**k for k in range(10))
        num_better = sum(value > mine[-1] for value in at_epoch)
        if is_rung and num_better >= max((len(at_epoch) + 1) // factor, 1):
            return True
    is_asked = scheduler.name == "median" and epoch >= grace and len(at_epoch) >= scheduler.n_startup
    if is_asked and max(mine) < np.percentile(at_epoch, 50):
        return True
    if scheduler.patience_epochs is not None and epoch >= scheduler.grace_epochs:
        best, since = mine[0], 0
        for value in mine[1:]:
            since += 1
            if value > best and value - best >= scheduler.min_gain:
                best, since = value, 0
        return since >= scheduler.patience_epochs
    return False


@settings(max_examples=150, deadline=None)
@given(SCHEDULERS, st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 9))
def test_verdicts_are_those_of_plain_loops(scheduler, seed, num_trials, epochs):
    verdicts, trials = run_search(scheduler, seed, num_trials, epochs)
    for i, epoch, reason in verdicts:
        assert bool(reason) == plain_verdict(scheduler, trials, i, epoch, epochs), (i, epoch)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    num_trials=st.integers(1, 16),
    epochs=st.integers(1, 10),
    grace=st.integers(1, 2),
    factor=st.integers(2, 3),
)
def test_hyperbands_verdicts_are_those_of_optunas_pruner(seed, num_trials, epochs, grace, factor):
    """Optuna deals trials to brackets by a hash; it is given our dealing, and does the rest by itself."""
    scheduler = SchedulerConfig(name="hyperband", grace_epochs=grace, reduction_factor=factor)
    graces = bracket_graces(grace, factor, epochs)
    weights = bracket_weights(len(graces), factor)
    pruner = optuna.pruners.HyperbandPruner(
        min_resource=grace, max_resource=max(epochs, grace), reduction_factor=factor
    )
    pruner._get_bracket_id = lambda study, trial: bracket_of(trial.number, weights)
    study = optuna.create_study(direction="maximize", pruner=pruner)
    asked = [study.ask() for _ in range(num_trials)]
    theirs = []

    def on_report(i, epoch, value):
        asked[i].report(value, step=epoch)
        theirs.append(epoch < epochs and asked[i].should_prune())

    verdicts, _ = run_search(scheduler, seed, num_trials, epochs, on_report)
    assert [bool(reason) for _, _, reason in verdicts] == theirs


def trial(values, number=0, arrival=100):
    return JudgedTrial(
        number, {epoch: ReportedEpoch(value, arrival + epoch) for epoch, value in enumerate(values, start=1)}
    )


GOOD = [trial([9] * 9, number, arrival=0) for number in range(1, 30)]


@pytest.mark.parametrize(
    ("scheduler", "values", "reason"),
    [
        ({"name": "asha"}, [1], "asha: not among the best 1/3 after epoch 1"),
        (
            {"name": "hyperband"},
            [1],
            "hyperband: not among the best 1/3 of bracket 0 (grace 1) after epoch 1",
        ),
        ({"name": "median"}, [1], "median: best so far is below the median of the others after epoch 1"),
        ({"name": "none", "patience_epochs": 2}, [3, 1, 2], "patience: no gain in 2 epochs, after epoch 3"),
        (
            {"name": "median", "patience_epochs": 1, "min_gain": 0.5},
            [9, 9.4],
            "patience: no gain of 0.5 in 1 epochs, after epoch 2",
        ),
        ({"name": "none"}, [1, 1, 1, 1], ""),
        ({"name": "asha", "grace_epochs": 2}, [1], ""),
        ({"name": "median", "grace_epochs": 2}, [1], ""),
        ({"name": "none", "patience_epochs": 1, "grace_epochs": 3}, [3, 1], ""),
    ],
)
def test_reasons_in_words(scheduler, values, reason):
    assert stop_reason(SchedulerConfig(**scheduler), trial(values), len(values), 9, GOOD) == reason


@settings(max_examples=200, deadline=None)
@given(SCHEDULERS, st.integers(1, 7))
def test_a_rule_that_stops_nobody_spares_the_worst_trial_and_no_other_does(scheduler, epochs):
    """Oracle: of many trials that only fall, far below all others, somebody is stopped if anybody can be."""
    good = [trial([100.0] * epochs, number, arrival=0) for number in range(1000, 1040)]
    stopped = [
        stop_reason(scheduler, trial(range(0, -epochs, -1), number), epoch, epochs, good)
        for number in range(20)
        for epoch in range(1, epochs + 1)
    ]
    assert stops_nobody(scheduler, epochs) == (not any(stopped))
