"""Sealed tests: every scoring of a test split is written down, and how often one was looked at is known.

A test says what a model does on photos that had no say in choosing it. Each further look at it, by another
model above all, makes that less true, so the count stands beside every test recall.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from vgsearch.registry.names import check_segment

SCORED_TESTS_KIND = "test_scorings"
"""Kind of the run that holds a search's scorings of tests; it is no trial."""

TESTED_TAG = "vgsearch.tested_model"
"""Tag of a run whose `scores/test__<split>.npz` are those of the model that it names by its key."""

TEST_FILE_PREFIX = "test__"
SCORES_FOLDER = "scores"

_REFERENCE_CHARACTERS = 500  # MLflow takes 6,000 for all of a parameter


@dataclass(frozen=True)
class ScoredTest:
    """One scoring of one test split.

    Attributes:
        id: Its own name; a scoring that is written down twice counts once.
        split: The test's name in the data section.
        reference: What was scored, in words or as a reference.
        stamp: Images, threshold, query method and resize, see `retrieval.scoring.stamp_of`.
        model: `model_key` of what was scored; empty where that is not known.
        scored_at: With time zone (UTC); None where it cannot be read.
    """

    id: str
    split: str
    reference: str
    stamp: str
    model: str
    scored_at: datetime | None

    def to_text(self) -> str:
        """All but id and split, as one line of JSON."""
        content = {
            "reference": self.reference,
            "stamp": self.stamp,
            "model": self.model,
            "scored_at": None
            if self.scored_at is None
            else self.scored_at.isoformat(timespec="microseconds"),
        }
        return json.dumps(content, ensure_ascii=False)


@dataclass(frozen=True)
class Looks:
    """How often a test split was scored.

    Attributes:
        scorings: All of them.
        different: Those that are left when a model that was scored again in the same way counts once: a
            repeat shows nothing new. One whose model is not known counts as a model of its own.
    """

    scorings: int
    different: int

    @property
    def repeats(self) -> int:
        """Scorings that repeat an earlier one."""
        return self.scorings - self.different

    def __str__(self) -> str:
        """`3`, or `3 (2 different, 1 repeat)`."""
        if not self.repeats:
            return str(self.scorings)
        repeats = "1 repeat" if self.repeats == 1 else f"{self.repeats} repeats"
        return f"{self.scorings} ({self.different} different, {repeats})"


NO_LOOKS = Looks(0, 0)


def model_key(weights_sha256: str, architecture: str) -> str:
    """Tell a model from others in a few characters: weights, and what is computed with them.

    Args:
        weights_sha256: Hash of `model.safetensors`.
        architecture: Hash of the architecture; an ensemble's also covers how it fuses, which its weights
            alone do not tell.
    """
    return f"{weights_sha256[:32]}-{architecture[:16]}"


def new_scoring(
    split: str, *, reference: str, stamp: str, model: str = "", scoring_id: str | None = None
) -> ScoredTest:
    """Describe a scoring that happens now; see `Recorder.count_test_scoring`.

    Raises:
        RegistryError: `split` or `scoring_id` is no plain path segment.
    """
    name = scoring_id or uuid.uuid4().hex
    return ScoredTest(
        id=check_segment(name, "a scoring's id"),
        split=check_segment(split, "a test split's name"),
        reference=reference[:_REFERENCE_CHARACTERS],
        stamp=stamp,
        model=model,
        scored_at=datetime.now(UTC),
    )


def scoring_from_text(scoring_id: str, split: str, text: str) -> ScoredTest:
    """Read what `ScoredTest.to_text` wrote; of a damaged text its being there still counts."""
    try:
        stored = json.loads(text)
    except ValueError:
        stored = None
    content: Mapping[str, object] = stored if isinstance(stored, dict) else {}
    return ScoredTest(
        id=scoring_id,
        split=split,
        reference=str(content.get("reference", "")),
        stamp=str(content.get("stamp", "")),
        model=str(content.get("model", "")),
        scored_at=_moment(content.get("scored_at")),
    )


def count_looks(scorings: Iterable[ScoredTest]) -> dict[str, Looks]:
    """Count by split."""
    unique = {(each.split, each.id): each for each in scorings}
    found: dict[str, list[ScoredTest]] = {}
    for each in unique.values():
        found.setdefault(each.split, []).append(each)
    return {
        split: Looks(len(own), len({(each.model or f"unknown {each.id}", each.stamp) for each in own}))
        for split, own in sorted(found.items())
    }


def _moment(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None
