"""What making a soup tells while it goes on, and what there is to say at its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vgsearch.ensembling.criterion import Criterion
from vgsearch.ensembling.soup_pot import Pot, Results
from vgsearch.ensembling.soup_trajectory import TrajectoryStep
from vgsearch.registry.records import ModelVersion


def _nobody(*_: object) -> None:
    pass


@dataclass(frozen=True)
class Watch:
    """Whom to tell how it goes.

    Attributes:
        say: A line of text.
        tried: A line about a soup that was just tried.
        expect: How many more images may have to be described; fewer, where it is negative.
        progress: How many images were just described.
    """

    say: Callable[[str], None] = _nobody
    tried: Callable[[str], None] = _nobody
    expect: Callable[[int], None] = _nobody
    progress: Callable[[int], None] = _nobody


@dataclass(frozen=True)
class SoupCost:
    """What making a soup took.

    Attributes:
        num_passes: Passes over the criterion's splits for soups that were tried, given up or not.
        pass_images: Images of one such pass.
        described: Images that they described in all.
        decoded: Images that were decoded for them.
        num_calibrations: Passes over training images for BatchNorm.
        calibration_images: Images of each of those.
        described_stored: Images described for recorded models: the soup at the end, and ingredients whose
            recorded results did not fit.
    """

    num_passes: int
    pass_images: int
    described: int
    decoded: int
    num_calibrations: int
    calibration_images: int
    described_stored: int


@dataclass(frozen=True, eq=False)
class SoupReport:
    """A recorded soup and how it came about.

    Attributes:
        version: As it is recorded.
        criterion: What it was chosen by.
        steps: What was tried.
        recipe: Ingredients by reference, with their shares.
        pot: What could have been in it.
        before: The best ingredient's results by split, the criterion's test among them if it is one.
        after: The soup's.
        is_recalibrated: Whether its BatchNorm statistics were taken again.
        cost: What it took; None where it was recorded before and nothing was computed.
    """

    version: ModelVersion
    criterion: Criterion
    steps: list[TrajectoryStep]
    recipe: list[tuple[str, float]]
    pot: Pot
    before: Results
    after: Results
    is_recalibrated: bool
    cost: SoupCost | None
