"""The scoring of a champion's tests is counted like any other; a resume that finds it again adds nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vgsearch.models.ensemble import model_identity
from vgsearch.registry.protocol import Recorder
from vgsearch.registry.scored_tests import Looks, model_key
from vgsearch.retrieval.recall import RetrievalResult

FinalLooks = Mapping[str, Looks | None]
"""How often each test was scored so far; None while the count waits for a store that does not answer."""


@dataclass(frozen=True)
class ScoredChampion:
    """The champion's checkpoint, as the count of test scorings knows it."""

    search: str
    uid: str
    key: str

    @classmethod
    def of(cls, search: str, uid: str, checkpoint: Path) -> ScoredChampion:
        """Read what tells its weights from others.

        Raises:
            CheckpointError: the checkpoint is missing or damaged.
        """
        identity = model_identity(checkpoint)
        return cls(search, uid, model_key(identity.weights_sha256, identity.architecture))

    def count(self, registry: Recorder, tests: Mapping[str, RetrievalResult]) -> FinalLooks:
        """Count one scoring of each test; called again for the same champion it only tells the count."""
        return {
            name: registry.count_test_scoring(
                self.search,
                name,
                reference=f"the champion when the search ended, {self.uid}",
                stamp=result.stamp,
                model=self.key,
                scoring_id=f"finale-{self.key}-{result.stamp[:16]}",
            )
            for name, result in tests.items()
        }
