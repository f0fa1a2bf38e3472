"""A trial that was handed out and has not ended, as the driver knows it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vgsearch.config.search import TrialSpec
from vgsearch.registry.records import TrialState
from vgsearch.search.events import TrialEvent

Report = Mapping[str, Any]


@dataclass
class RunningTrial:
    """What the driver knows of a trial that has not ended.

    Attributes:
        number: in the study.
        spec: what its worker was given.
        run_id: its run in the registry; empty before that is opened.
        settings: the searched values by their names.
        repeat_of: number of the trial that it repeats; None for a searched one.
        trunk_key: of a trunk; empty for every other.
        started: of the monotonic clock, in seconds, when this driver handed it out.
        reports: its worker's reports by epoch.
        num_queries: behind the objective; 0 while unknown.
    """

    number: int
    spec: TrialSpec
    settings: Mapping[str, object]
    repeat_of: int | None
    trunk_key: str = ""
    run_id: str = ""
    started: float = field(default_factory=time.monotonic)
    reports: dict[int, Report] = field(default_factory=dict)
    num_queries: int = 0

    @property
    def is_searched(self) -> bool:
        """Whether a sampler proposed it: it is neither a repeat nor a trunk."""
        return self.repeat_of is None and not self.trunk_key

    @property
    def label(self) -> str:
        """What people read in the registry's lists: `trial 0007`, `trunk 0000 of resnet18.tv_in1k`."""
        if self.trunk_key:
            return f"trunk {self.number:04d} of {self.spec.trial.resolved_backbone.name}"
        if self.repeat_of is None:
            return f"trial {self.number:04d}"
        return f"trial {self.number:04d}, repeats {self.repeat_of:04d} with seed {self.spec.trial.seed}"

    @property
    def best_report(self) -> Report | None:
        """The report with the highest objective, the first of equals, as the trainer keeps it."""
        reports = [self.reports[epoch] for epoch in sorted(self.reports)]
        return max(reports, key=self._objective, default=None)

    def report_to_record(self, best_epoch: int | None) -> Report | None:
        """The report whose checkpoint stands for the trial: of `best_epoch`, if that lies on disk.

        A trial whose checkpoints were lost trains their epochs again, and on a GPU the numbers may come out
        a little different from those that the study keeps; then it is the worker's own best.
        """
        report = None if best_epoch is None else self.reports.get(best_epoch)
        if report is not None and Path(report["checkpoint"]).is_dir():
            return report
        return self.best_report

    def event(self, state: TrialState, reason: str = "") -> TrialEvent:
        """Its standing, for whoever watches."""
        best = self.best_report
        latest = self.reports[max(self.reports)] if self.reports else None
        peaks = [report["metrics"].get("gpu/peak_bytes") for report in self.reports.values()]
        return TrialEvent(
            number=self.number,
            uid=self.spec.uid,
            state=state,
            epoch=max(self.reports, default=0),
            epochs=self.spec.trial.epochs,
            settings=self.settings,
            value=self._objective(latest) if latest else None,
            best=self._objective(best) if best else None,
            best_epoch=int(best["epoch"]) if best else None,
            num_queries=self.num_queries,
            seconds=time.monotonic() - self.started,
            reason=reason,
            gpu_peak_bytes=max((peak for peak in peaks if peak is not None), default=None),
            repeat_of=self.repeat_of,
            seed=self.spec.trial.seed,
            is_trunk=bool(self.trunk_key),
        )

    def _objective(self, report: Report) -> float:
        return float(report["metrics"][self.spec.objective])
