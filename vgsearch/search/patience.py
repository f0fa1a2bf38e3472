"""Patience: a trial that has stopped improving ends, whatever the others do."""

from __future__ import annotations

from vgsearch.search.halving import History


def epochs_without_gain(history: History, epoch: int, *, min_gain: float) -> int:
    """How many epochs ago, at `epoch`, a trial last improved.

    An epoch improves if it is above the last one that did, by `min_gain` or more; the first always does.
    So small steps count as soon as they add up.

    Args:
        history: the trial's reports by completed epoch from 1. Those after `epoch` are not looked at.
        epoch: the epoch that has just ended.
        min_gain: points of the objective.
    """
    last = 0
    best = float("-inf")
    for at in sorted(at for at in history if at <= epoch):
        value = history[at].value
        if value > best and value >= best + min_gain:
            best, last = value, at
    return epoch - last
