"""Scorings of test splits in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from vgsearch.registry.memory_runs import MemoryRun
from vgsearch.registry.records import ModelVersion
from vgsearch.registry.scored_tests import (
    SCORES_FOLDER,
    TEST_FILE_PREFIX,
    TESTED_TAG,
    Looks,
    ScoredTest,
    count_looks,
    new_scoring,
)


class MemoryScoredTests(ABC):
    """The part of `MemoryRegistry` that keeps tests sealed."""

    def __init__(self) -> None:
        """Start with none scored."""
        self._scored_tests: dict[tuple[str, str, str], ScoredTest] = {}

    @abstractmethod
    def _search(self, search: str) -> MemoryRun:
        """Return a search's own run."""

    @abstractmethod
    def _run(self, run_id: str) -> MemoryRun:
        """Return any run."""

    def count_test_scoring(
        self,
        search: str,
        split: str,
        *,
        reference: str,
        stamp: str,
        model: str = "",
        scoring_id: str | None = None,
    ) -> Looks:
        """See `Recorder.count_test_scoring`."""
        self._search(search)
        scoring = new_scoring(split, reference=reference, stamp=stamp, model=model, scoring_id=scoring_id)
        self._scored_tests.setdefault((search, split, scoring.id), scoring)
        return self.test_scorings(search)[split]

    def test_scorings(self, search: str) -> Mapping[str, Looks]:
        """See `Registry.test_scorings`."""
        return count_looks(self.scored_tests(search))

    def scored_tests(self, search: str) -> list[ScoredTest]:
        """See `Registry.scored_tests`."""
        self._search(search)
        return [each for (name, _, _), each in self._scored_tests.items() if name == search]

    def recorded_tests(self, version: ModelVersion, model: str) -> dict[str, bytes]:
        """See `Registry.recorded_tests`."""
        run = self._run(version.run_id)
        if run.tags.get(TESTED_TAG) != model:
            return {}
        start, end = f"{SCORES_FOLDER}/{TEST_FILE_PREFIX}", ".npz"
        return {
            path.removeprefix(start).removesuffix(end): content
            for path, content in run.files.items()
            if path.startswith(start) and path.endswith(end)
        }
