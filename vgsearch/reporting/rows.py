"""What the tables are made from: plain records, whoever fills them in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from vgsearch.registry.records import TrialState
from vgsearch.retrieval.recall import Recall

MarginUnit = Literal["", "cos", "rad", "mul"]
Recalls = Mapping[int, Recall]
"""Recalls by their N."""


@dataclass(frozen=True)
class Costs:
    """What a trial cost, and what its network costs whoever uses it; None where it is not known.

    Attributes:
        query_ms: milliseconds to describe one query.
        descriptor_bytes: of one descriptor.
        gpu_hours: GPUs times hours of its epochs; None without a GPU.
        hours: of its epochs.
        gpu_peak_bytes: most GPU memory of one of its processes; None without a GPU.
    """

    query_ms: float | None = None
    descriptor_bytes: int | None = None
    gpu_hours: float | None = None
    hours: float | None = None
    gpu_peak_bytes: float | None = None


@dataclass(frozen=True)
class LeaderboardRow:
    """One trial of a search at its best epoch.

    Attributes:
        rank: from 1, best first.
        number: the trial's number in its search, from 0.
        uid: the trial's own name.
        state: what became of it.
        backbone: timm name.
        loss: margin loss, as in the file.
        margin: None where the loss has several.
        margin_unit: `cos` is subtracted from the cosine, `rad` added to the angle, `mul` multiplies it.
        scale: factor on the logits.
        grl_alpha: strength of the gradient reversal, None without a domain classifier.
        best_epoch: from 1, None if no epoch was finished.
        epochs: epochs that a whole trial has.
        recalls: of the selection split, or of all of them pooled (see `pool_recalls`); empty if no epoch
            was finished.
        seconds: time spent in its epochs.
        reason: why it ended early, empty for most.
        by_split: recalls of each selection split, where there are several.
        costs: of training and of use.
    """

    rank: int
    number: int
    uid: str
    state: TrialState
    backbone: str
    loss: str
    margin: float | None
    scale: float
    grl_alpha: float | None
    best_epoch: int | None
    epochs: int
    recalls: Recalls
    seconds: float
    reason: str = ""
    margin_unit: MarginUnit = ""
    by_split: Mapping[str, Recalls] = field(default_factory=dict)
    costs: Costs = Costs()

    @property
    def may_win(self) -> bool:
        """Whether its end allows it to be champion."""
        return self.state in ("complete", "stopped")


@dataclass(frozen=True)
class ScoreRow:
    """One network on one retrieval set."""

    set_name: str
    recalls: Recalls


def pool_recalls(by_split: Mapping[str, Recalls]) -> dict[int, Recall]:
    """Count the hits and queries of all splits together, for each N that all of them have.

    Where the splits have equally many queries this is the mean of their recalls, with the interval of all
    queries.
    """
    common = set.intersection(*(set(recalls) for recalls in by_split.values())) if by_split else set()
    return {
        n: Recall(
            n=n,
            hits=sum(recalls[n].hits for recalls in by_split.values()),
            num_queries=sum(recalls[n].num_queries for recalls in by_split.values()),
        )
        for n in sorted(common)
    }
