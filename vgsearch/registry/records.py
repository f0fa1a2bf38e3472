"""What a registry gives back: searches, trials and recorded checkpoints, as plain frozen records."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, cast

from vgsearch.errors import RegistryError
from vgsearch.registry.names import (
    INHERITED_TAGS,
    KIND_TAG,
    SELECTED_ON_TEST_TAG,
    TRANSDUCTIVE_TAG,
    recall_tag,
)

TrialState = Literal["running", "complete", "stopped", "infeasible", "failed", "out_of_memory"]
SearchState = Literal["running", "complete", "interrupted", "failed"]
CombinationKind = Literal["soup", "ensemble"]
VersionKind = Literal["trial", "soup", "ensemble", "imported"]

COMBINATION_KINDS: tuple[CombinationKind, ...] = ("soup", "ensemble")
NETWORK_KINDS: tuple[VersionKind, ...] = ("trial", "imported")
"""Kinds that are one trained network: what can be champion, and what soups and ensembles are made of."""
TRIAL_ENDS: tuple[TrialState, ...] = ("complete", "stopped", "infeasible", "failed", "out_of_memory")
SEARCH_ENDS: tuple[SearchState, ...] = ("complete", "interrupted", "failed")

History = Mapping[int, Mapping[str, float]]
"""Metrics by epoch: `{1: {"val/recall_at_1": 41.0}, 2: ...}`. Epoch 0 holds what `log_scores` wrote."""


@dataclass(frozen=True)
class SearchRecord:
    """One search: its parent run.

    Attributes:
        name: The search's name, as in the YAML.
        run_id: The parent run.
        state: "running" also stands for a search whose process was killed.
        params: The search's configuration, flattened to strings.
        tags: The run's own tags.
        started_at: With time zone (UTC).
        ended_at: None while it runs.
    """

    name: str
    run_id: str
    state: SearchState
    params: Mapping[str, str]
    tags: Mapping[str, str]
    started_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True)
class TrialRecord:
    """One trial: a child run, through any number of resumes.

    Attributes:
        search: Name of the search.
        uid: The trial's own name, the same in the study, on disk and here.
        run_id: The child run.
        label: What people read in lists.
        state: See `TrialState`; "running" also stands for a trial whose process was killed.
        reason: Why it ended so; empty for most.
        params: The decided configuration, flattened to strings.
        tags: The run's own tags.
        history: Metrics by epoch.
        started_at: With time zone (UTC).
        ended_at: None while it runs.
    """

    search: str
    uid: str
    run_id: str
    label: str
    state: TrialState
    reason: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    history: History
    started_at: datetime
    ended_at: datetime | None

    @property
    def epochs(self) -> int:
        """The last recorded epoch, 0 before the first."""
        return max(self.history, default=0)

    @property
    def last_metrics(self) -> dict[str, float]:
        """The newest value of every metric, whichever epoch it is from."""
        newest: dict[str, float] = {}
        for epoch in sorted(self.history):
            newest.update(self.history[epoch])
        return newest

    def best(self, objective: str) -> tuple[int, Mapping[str, float]] | None:
        """Return (epoch, metrics) of the greatest `objective`, the first of equals; None without any."""
        scored = {epoch: row[objective] for epoch, row in self.history.items() if objective in row}
        if not scored:
            return None
        epoch = min(scored, key=lambda number: (-scored[number], number))
        return epoch, self.history[epoch]


@dataclass(frozen=True)
class ModelVersion:
    """One recorded checkpoint: of a trial, a network from elsewhere, or a soup or ensemble of such.

    Attributes:
        search: Name of the search.
        name: The registered model, `vgsearch-<search>`.
        version: Its number in the registered model, as text ("3").
        uid: The trial that trained it, the import, or the combination.
        run_id: That one's run.
        epoch: The epoch it was taken after, from 1; 1 for an import or a combination.
        weights_sha256: Hash of the bytes of `model.safetensors`.
        tags: Everything that was recorded beside it (architecture, recalls, data fingerprint).
        aliases: "champion" on the best; combinations have others.
    """

    search: str
    name: str
    version: str
    uid: str
    run_id: str
    epoch: int
    weights_sha256: str
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()

    @property
    def reference(self) -> str:
        """What to hand to `evaluate`: `models:/vgsearch-grl/3`."""
        return f"models:/{self.name}/{self.version}"

    @property
    def kind(self) -> VersionKind:
        """What it is: a trial's checkpoint, an imported network, or a combination of such."""
        return cast(VersionKind, self.tags.get(KIND_TAG, "trial"))

    @property
    def is_unscored_import(self) -> bool:
        """Whether it came from elsewhere and nothing says what it is worth on val."""
        return self.kind == "imported" and not any(tag.startswith(recall_tag("val/")) for tag in self.tags)

    @property
    def selected_on_test(self) -> bool:
        """Whether a test split had a say in choosing it or anything it was made of."""
        return self.tags.get(SELECTED_ON_TEST_TAG) == "true"

    @property
    def transductive(self) -> bool:
        """Whether queries of a test were among the target domain it, or anything it was made of, saw."""
        return self.tags.get(TRANSDUCTIVE_TAG) == "true"

    @property
    def inherited_tags(self) -> dict[str, str]:
        """Those of its tags that whatever starts from its weights has too."""
        return {tag: "true" for tag in INHERITED_TAGS if self.tags.get(tag) == "true"}


def finite_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """Drop NaN and infinities: MLflow would turn an infinity into the greatest double."""
    return {name: float(value) for name, value in metrics.items() if math.isfinite(value)}


def check_last_state(state: str, allowed: tuple[str, ...]) -> None:
    """Refuse a state that no run can end in.

    Raises:
        RegistryError: `state` is not among `allowed`.
    """
    if state not in allowed:
        raise RegistryError(f"a run ends as one of {', '.join(allowed)}, but got {state!r}")


def check_combination(kind: str) -> str:
    """Return `kind` if it names a combination.

    Raises:
        RegistryError: It does not.
    """
    if kind not in COMBINATION_KINDS:
        raise RegistryError(f"a combination is one of {', '.join(COMBINATION_KINDS)}, but got {kind!r}")
    return kind


def check_epoch(epoch: int) -> int:
    """Return `epoch` if it counts completed epochs.

    Raises:
        RegistryError: It is below 1 or above 9999999.
    """
    if not 1 <= epoch <= 9_999_999:
        raise RegistryError(f"completed epochs are counted from 1, but got {epoch}")
    return epoch
