"""Reads of a recorder that can wait: they pass through, after what waits has been delivered."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from vgsearch.registry.protocol import Registry
from vgsearch.registry.records import ModelVersion, SearchRecord, TrialRecord
from vgsearch.registry.scored_tests import Looks, ScoredTest
from vgsearch.registry.spool_calls import handle


class SpoolReads(ABC):
    """The reading part of `SpooledRegistry`: run ids in what it gives are handles."""

    _runs: dict[str, str]

    @abstractmethod
    def _read(self) -> Registry:
        """Deliver what waits, and return the registry behind."""

    @abstractmethod
    def _run_of(self, run_id: str) -> str:
        """Return the inner registry's run id for a handle."""

    def champion(self, search: str) -> ModelVersion:
        """See `Registry.champion`."""
        return own_version(self._read().champion(search))

    def versions(self, search: str) -> list[ModelVersion]:
        """See `Registry.versions`."""
        return [own_version(version) for version in self._read().versions(search)]

    def trials(self, search: str, *, metric_prefix: str = "") -> list[TrialRecord]:
        """See `Registry.trials`."""
        records = self._read().trials(search, metric_prefix=metric_prefix)
        return [replace(record, run_id=handle(record.search, record.uid)) for record in records]

    def searches(self) -> list[SearchRecord]:
        """See `Registry.searches`."""
        return [replace(record, run_id=handle(record.name)) for record in self._read().searches()]

    def test_scorings(self, search: str) -> Mapping[str, Looks]:
        """See `Registry.test_scorings`."""
        return self._read().test_scorings(search)

    def scored_tests(self, search: str) -> list[ScoredTest]:
        """See `Registry.scored_tests`."""
        return self._read().scored_tests(search)

    def recorded_tests(self, version: ModelVersion, model: str) -> dict[str, bytes]:
        """See `Registry.recorded_tests`."""
        inner = self._read()
        return inner.recorded_tests(replace(version, run_id=self._run_of(version.run_id)), model)

    def kept_files(self, version: ModelVersion, folder: str) -> dict[str, bytes]:
        """See `Registry.kept_files`."""
        inner = self._read()
        return inner.kept_files(replace(version, run_id=self._run_of(version.run_id)), folder)

    def download(self, reference: str, into: Path | None = None) -> Path:
        """See `Registry.download`; `runs:/` takes handles too."""
        inner = self._read()
        run = reference.removeprefix("runs:/")
        if run != reference and run in self._runs:
            reference = f"runs:/{self._runs[run]}"
        return inner.download(reference, into)


def own_version(version: ModelVersion) -> ModelVersion:
    """Return a version with the handle of its run."""
    return replace(version, run_id=handle(version.search, version.uid))
