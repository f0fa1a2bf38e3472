"""A trial's standing, from the search that knows it to the table that shows it."""

from __future__ import annotations

from vgsearch.reporting.trial_table import LiveTrial, readable_settings
from vgsearch.search.events import TrialEvent


def shown_trial(event: TrialEvent, *, is_cut_off: bool = False) -> LiveTrial:
    """The table's row of a trial; `is_cut_off` says that it runs by name only, its driver being gone."""
    return LiveTrial(
        number=event.number,
        state=event.state,
        epoch=event.epoch,
        epochs=event.epochs,
        value=event.value,
        best=event.best,
        best_epoch=event.best_epoch,
        num_queries=event.num_queries,
        settings=readable_settings(event.settings),
        seconds=event.seconds,
        reason=event.reason,
        gpu_peak_bytes=event.gpu_peak_bytes,
        repeat_of=event.repeat_of,
        seed=event.seed,
        is_trunk=event.is_trunk,
        is_cut_off=is_cut_off,
    )
