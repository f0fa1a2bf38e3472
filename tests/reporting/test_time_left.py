from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import CensoredData, ecdf

from vgsearch.reporting.time_left import Progress, epochs_left, survival

LONGEST = 6
progress = st.builds(
    Progress, epoch=st.integers(1, LONGEST), epochs=st.just(LONGEST), is_running=st.booleans()
)


@given(st.lists(progress, min_size=1, max_size=20))
def test_survival_is_scipys_kaplan_meier(trials: list[Progress]) -> None:
    # scipy counts a lifetime that is censored at k as longer than k, as we count one that runs after k.
    ended = [trial.epoch for trial in trials if not trial.is_running]
    running = [trial.epoch for trial in trials if trial.is_running]
    expected = ecdf(CensoredData(uncensored=ended, right=running)).sf
    chances = survival(trials, LONGEST)
    assert chances[:LONGEST] == pytest.approx(expected.evaluate(np.arange(LONGEST)))
    assert chances[LONGEST] == 0


def test_without_early_stopping_every_epoch_is_left() -> None:
    trials = [Progress(4, 4, False), Progress(3, 4, True), Progress(0, 4, True)]
    assert epochs_left(trials, num_unstarted=2) == pytest.approx(1 + 4 + 2 * 4)


def test_early_stopping_shortens_what_is_expected() -> None:
    # Two of three were stopped after epoch 1, the third is sure of its second and may do a third.
    trials = [Progress(1, 9, False), Progress(1, 9, False), Progress(1, 9, True)]
    chance = 1 / 3
    assert epochs_left(trials, num_unstarted=3) == pytest.approx(3 * (1 + chance * 8) + 8)


def test_a_long_running_trial_is_not_overlooked() -> None:
    only_ended = [Progress(1, 9, False)] * 2
    assert epochs_left(only_ended, num_unstarted=1) == pytest.approx(1)
    with_running = [*only_ended, Progress(5, 9, True)]
    assert epochs_left(with_running, num_unstarted=1) - 4 == pytest.approx(1 + 8 / 3)


def test_nobody_stops_a_repeat() -> None:
    trials = [Progress(1, 9, False), Progress(9, 9, False)]
    assert epochs_left(trials, num_unstarted=0, num_repeats=4) == 36


@given(st.lists(progress, max_size=12), st.integers(0, 9), st.integers(0, 9))
def test_never_more_than_all_epochs(trials: list[Progress], unstarted: int, repeats: int) -> None:
    running = sum(trial.epochs - trial.epoch for trial in trials if trial.is_running)
    left = epochs_left(trials, num_unstarted=unstarted, num_repeats=repeats)
    assert 0 <= left <= running + LONGEST * (unstarted + repeats) + 1e-9


def test_failures_before_the_first_epoch_leave_the_rest_as_it_is() -> None:
    trials = [Progress(0, 4, False), Progress(0, 4, True)]
    assert epochs_left(trials, num_unstarted=0) == 4
