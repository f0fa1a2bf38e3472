"""How long a search still takes, judged by how far its trials get before they are stopped.

Most trials of a search with early stopping end after a few epochs, and those that ended are no fair sample:
the long ones are still running. So the length of a trial is estimated as lifetimes are, by Kaplan and Meier
(JASA 1958), where a running trial says only that it is longer than what it has done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """A trial's completed epochs, those that a whole one has, and whether it goes on."""

    epoch: int
    epochs: int
    is_running: bool


def survival(trials: Sequence[Progress], longest: int) -> list[float]:
    """The chance that a trial goes on after epoch k, for k = 0..longest (Kaplan & Meier 1958).

    Args:
        trials: those that ended, and those that run, which count as going on after the epochs they have done.
        longest: epochs of a whole trial; nobody goes on after them.

    Returns:
        `longest + 1` values that never rise; the last is 0.
    """
    chances = []
    alive = 1.0
    for epoch in range(longest):
        # A trial that runs after epoch k was judged there and goes on; before the first, nothing is known.
        at_risk = sum(t.epoch >= epoch and not (t.is_running and t.epoch == 0) for t in trials)
        ended = sum(t.epoch == epoch and not t.is_running for t in trials)
        alive *= 1.0 - ended / at_risk if at_risk else 1.0
        chances.append(alive)
    return [*chances, 0.0]


def epochs_left(trials: Sequence[Progress], *, num_unstarted: int, num_repeats: int = 0) -> float:
    """Epochs that are expected of the running trials and of those not yet begun.

    Args:
        trials: the searched trials so far.
        num_unstarted: trials that nobody has begun.
        num_repeats: repeats of finalists not yet begun; nobody stops them early.
    """
    longest = max((trial.epochs for trial in trials), default=0)
    chances = survival(trials, longest)
    left = num_unstarted * sum(chances) + num_repeats * float(longest)
    for trial in trials:
        if trial.is_running and trial.epoch < trial.epochs:
            # Its next epoch is certain (else it had been stopped by now), the ones after it are not.
            base = chances[trial.epoch]
            ahead = chances[trial.epoch : trial.epochs]
            left += sum(chance / base for chance in ahead) if base > 0 else trial.epochs - trial.epoch
    return left
