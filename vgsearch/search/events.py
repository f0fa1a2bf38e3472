"""What a search tells whoever watches it: one event for each step of a trial."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from vgsearch.registry.records import TrialState


@dataclass(frozen=True)
class TrialEvent:
    """A trial's standing after something happened to it.

    `settings` are the searched values by Optuna's names; `value` is the objective of the latest epoch and
    `best` the highest so far, both in percent; `num_queries` is the number of queries behind them (0 where
    splits of different sizes are averaged). `repeat_of` is the trial that this one repeats on another seed.
    A trunk is none of the searched trials: others branch from it.
    """

    number: int
    uid: str
    state: TrialState
    epoch: int
    epochs: int
    settings: Mapping[str, object] = field(default_factory=dict)
    value: float | None = None
    best: float | None = None
    best_epoch: int | None = None
    num_queries: int = 0
    seconds: float = 0.0
    reason: str = ""
    gpu_peak_bytes: float | None = None
    repeat_of: int | None = None
    seed: int | None = None
    is_trunk: bool = False


Watcher = Callable[[TrialEvent], None]


def nobody(event: TrialEvent) -> None:
    """Watch nothing."""
