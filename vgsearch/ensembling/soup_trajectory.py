"""The way to a soup as plain records that are kept with it, so that it can be shown again without a pass."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vgsearch.ensembling.candidates import Candidate
from vgsearch.ensembling.soup_choice import Step
from vgsearch.errors import CheckpointError
from vgsearch.retrieval.bootstrap import grid_places, paired_bootstrap
from vgsearch.retrieval.recall import RetrievalResult


@dataclass(frozen=True)
class TrajectoryStep:
    """One step.

    Attributes:
        reference: The ingredient, as `models:/vgsearch-grl/3`.
        uid: Its trial.
        alone: The criterion of the ingredient by itself, in percent.
        share: Its part of what was tried, 0 to 1.
        value: The criterion of what was tried; where the pass ended early, the most it could have reached.
        part: How much of the images was described, 0 to 1.
        floor: What it had to reach; None for the first.
        difference: Points of recall gained over what it was compared with, all queries pooled; None for the
            first, and where the pass ended early.
        low: Lower end of the 95% interval, bootstrapped by place.
        high: Upper end.
        is_taken: Whether it is in the soup from here on.
        is_broken: A descriptor was not finite.
        is_recalibrated: BatchNorm statistics were taken again.
    """

    reference: str
    uid: str
    alone: float
    share: float
    value: float
    part: float
    floor: float | None
    difference: float | None
    low: float | None
    high: float | None
    is_taken: bool
    is_broken: bool
    is_recalibrated: bool


def trajectory(
    steps: Sequence[Step], candidates: Sequence[Candidate], alone: Sequence[float], n: int
) -> list[TrajectoryStep]:
    """Write steps out.

    Args:
        steps: From a method.
        candidates: The pot, in its order.
        alone: The criterion of each by itself.
        n: Recall at how many.
    """
    records = []
    for step in steps:
        candidate = candidates[step.ingredient]
        gain = None
        if step.before is not None and step.before.results is not None and step.tried.results is not None:
            gain = paired_points(step.before.results, step.tried.results, n)
        difference, low, high = gain or (None, None, None)
        records.append(
            TrajectoryStep(
                reference=candidate.reference,
                uid=candidate.version.uid,
                alone=alone[step.ingredient],
                share=step.share,
                value=step.tried.value,
                part=step.tried.part,
                floor=None if step.before is None else step.before.value,
                difference=difference,
                low=low,
                high=high,
                is_taken=step.is_taken,
                is_broken=step.tried.is_broken,
                is_recalibrated=step.tried.is_recalibrated,
            )
        )
    return records


def paired_points(
    first: Mapping[str, RetrievalResult], second: Mapping[str, RetrievalResult], n: int
) -> tuple[float, float, float] | None:
    """Second minus first in points with its 95% interval, all splits' queries together, clustered by place.

    Queries of one place stay together, also when they are of different splits (day and night).

    Args:
        first: By split.
        second: Of the same splits.
        n: Recall at how many.

    Returns:
        (difference, low, high); None where query positions are not known.
    """
    positions = [first[split].query_utm_m for split in second]
    if any(position is None for position in positions):
        return None
    boot = paired_bootstrap(
        np.concatenate([first[split].hits_at(n) for split in second]),
        np.concatenate([second[split].hits_at(n) for split in second]),
        grid_places(np.concatenate([position for position in positions if position is not None])),
    )
    return 100 * boot.difference, 100 * boot.low, 100 * boot.high


def to_json(steps: Sequence[TrajectoryStep]) -> list[dict[str, Any]]:
    """As JSON takes it."""
    return [asdict(step) for step in steps]


def from_json(content: object, where: str) -> list[TrajectoryStep]:
    """Read what `to_json` wrote.

    Raises:
        CheckpointError: It is something else.
    """
    try:
        steps = [TrajectoryStep(**entry) for entry in content]  # type: ignore[attr-defined]
        numbers = [value for step in steps for value in (step.alone, step.share, step.value, step.part)]
        if not all(math.isfinite(number) for number in numbers):
            raise TypeError("a number is not finite")
    except TypeError as error:
        raise CheckpointError(f"{where}: its trajectory cannot be read ({error})") from error
    return steps
