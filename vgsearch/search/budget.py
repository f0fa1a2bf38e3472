"""What a search may spend: hours of the clock, over all its drivers, and GPU-hours of its epochs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from optuna.trial import FrozenTrial

from vgsearch.config.search import BudgetConfig
from vgsearch.search.facts import gpu_hours


class Budget:
    """Says when a search has spent what it may."""

    def __init__(
        self, config: BudgetConfig, spent_wall_s: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Go on from `spent_wall_s` seconds of earlier drivers."""
        self._config = config
        self._before_s = spent_wall_s
        self._clock = clock
        self._started_s = clock()

    @property
    def wall_s(self) -> float:
        """Seconds that drivers of this search have run, this one included."""
        return self._before_s + self._clock() - self._started_s

    def spent(self, trials: Sequence[FrozenTrial]) -> str:
        """Say which budget is spent; empty while none is."""
        hours = self._config.wall_hours
        if hours is not None and self.wall_s >= 3600 * hours:
            return f"budget: {hours:g} hours are spent"
        hours = self._config.gpu_hours
        if hours is not None and gpu_hours(trials) >= hours:
            return f"budget: {hours:g} GPU-hours are spent"
        return ""
