from __future__ import annotations

from datetime import UTC, datetime

from vgsearch.registry.records import History, TrialRecord


def record(history: History) -> TrialRecord:
    return TrialRecord("s", "t0", "r", "label", "running", "", {}, {}, history, datetime.now(UTC), None)


def test_the_best_epoch_is_the_first_of_equals() -> None:
    trial = record({1: {"r": 1.0}, 2: {"r": 3.0, "x": 1.0}, 3: {"r": 3.0}, 4: {"x": 9.0}})
    assert trial.best("r") == (2, {"r": 3.0, "x": 1.0})
    assert trial.best("nothing") is None
    assert trial.last_metrics == {"r": 3.0, "x": 9.0}
    assert trial.epochs == 4


def test_a_trial_without_epochs() -> None:
    assert record({}).epochs == 0
    assert record({}).best("r") is None
    assert record({}).last_metrics == {}
